"""The collectives of one training step, counted while processes train.

`accelerate launch --num_processes 2 -m tests.helpers.collectives MODEL TOKENS TRAJECTORIES FILE`
writes what the main process saw as JSON: calls and bytes of each kind, and its micro-batches.
"""

import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diagnostics.parameters import trained_parameters
from tests.helpers.started_runs import started
from train.config.settings import Config
from train.devices import processes
from train.run.setup import set_up

# The argument that holds the whole, of which each process has a part or a summand.
WHOLE = {"allreduce_": 0, "_allgather_base_": 0, "_reduce_scatter_base_": 1, "broadcast_": 0}
SMALL = 4096  # bytes: metrics, and what processes agree on


class Collectives(TorchDispatchMode):
    """Counts calls and bytes of the collectives that pass while it is on."""

    def __init__(self):
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func.name().split("::")
        name = name.split(".")[0]
        if namespace == "c10d" and name not in ("barrier", "monitored_barrier_"):
            tensors = [x for x in tree_leaves(args[WHOLE[name]]) if isinstance(x, torch.Tensor)]
            size = sum(x.numel() * x.element_size() for x in tensors)
            if size > SMALL:
                self.calls[name] += 1
                self.bytes[name] += size
        return func(*args, **(kwargs or {}))


def count_step(model: str, tokens: int, trajectories: int, folder: Path) -> dict:
    """Return what a second step of fpa sends, in each of its processes."""
    config = Config(
        model=model, eval_problems="none", reference_cache="off", device="cpu",
        batch_size=trajectories, tokens_per_microbatch=tokens, gradient_checkpointing=True,
    )  # fmt: skip
    run = started(set_up(config), "fpa", folder / "run")
    run.step(1)
    micro_batches = 0
    draw = run.updater.gradients.batcher.micro_batches

    def counted(*args, **kwargs):
        nonlocal micro_batches
        for micro in draw(*args, **kwargs):
            micro_batches += 1
            yield micro

    run.updater.gradients.batcher.micro_batches = counted
    with Collectives() as seen:
        run.step(2)
    parameters = trained_parameters(run.policies.policy.model).values()
    return {
        "parameters": sum(x.numel() for x in parameters),
        "micro_batches": micro_batches,
        "calls": dict(seen.calls),
        "bytes": dict(seen.bytes),
    }


def main(model: str, tokens: int, trajectories: int, file: Path) -> None:
    processes.begin("cpu")
    with TemporaryDirectory() as folder:
        found = count_step(model, tokens, trajectories, Path(processes.agree(folder)))
        processes.wait()
    if processes.is_main():
        file.write_text(json.dumps(found))


if __name__ == "__main__":
    model, tokens, trajectories, file = sys.argv[1:]
    processes.together(partial(main, model, int(tokens), int(trajectories), Path(file)))
