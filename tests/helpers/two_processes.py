"""One step's gradients of objectives of every kind, for the tests of processes to launch.

`accelerate launch --num_processes 2 -m tests.helpers.two_processes FOLDER` writes them; in one
process `gradients` gives what they must be.
"""

import copy
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from diagnostics.parameters import trained_parameters
from tests.helpers.started_runs import started, with_config
from train.config.settings import Config
from train.data.table import BUILTIN_ROLLOUTS
from train.devices import processes
from train.devices.sharding import whole_tensor
from train.models.copies import copy_parameters
from train.models.lora import adapted
from train.run.setup import Setup, set_up

CONFIG = Config(eval_problems="none", device="cpu", reference_cache="off", max_tokens=60)
CASES = {  # name: objective, its hyper-parameters, settings of the run
    "pairs": ("dpo", {}, {"batch_size": 6}),
    "trajectories": ("fpa", {}, {"batch_size": 7, "rows": "all"}),
    "trajectories of pairs": ("fpa", {}, {"batch_size": 10, "tokens_per_microbatch": 130}),
    "one unit": ("fpa_rpo", {}, {"batch_size": 2}),
    "mismatched": ("kto", {}, {"batch_size": 14, "micro_batch_size": 4}),
    "groups": ("grpo", {"aggregate": "token"}, {"batch_size": 9, "rows": "all"}),
    "correct only": ("sft", {}, {"batch_size": 5, "gradient_checkpointing": True}),
    "anchors": ("omd", {"period": 1}, {"batch_size": 7, "rows": "all"}),
    "lagged": ("fpa", {"future_from": "lagged:1"}, {"batch_size": 6, "micro_batch_size": 2}),
    "adapter": ("fpa_dpo", {}, {"batch_size": 6, "lora_rank": 2}),
    "anchors as adapters": ("omd", {"period": 1}, {"batch_size": 7, "rows": "all", "lora_rank": 2}),
    "collisions": ("wpo_dpo", {}, {"batch_size": 6}),
    "collisions ahead": ("fpa_wpo_dpo", {}, {"batch_size": 6, "micro_batch_size": 2}),
    "drawn ahead": ("rise", {"coefficient": 3.0}, {"batch_size": 6, "micro_batch_size": 2}),
    "drawn ahead of the lagged": (
        "rise_grpo",
        {"future_from": "lagged:1", "divergence_kind": "js", "coefficient": 9.0},
        {"batch_size": 9, "rows": "all", "lora_rank": 2},
    ),
    "solve rates": ("nft", {}, {"batch_size": 9, "rows": "all"}),
    "cached": ("fpa", {}, {"batch_size": 6, "reference_cache": "cache"}),
}


def gradients(setup: Setup, case: str, folder: Path) -> tuple[dict, dict]:
    """Return a step's gradients and metrics, away from the reference, where every term counts."""
    name, given, settings = CASES[case]
    if "reference_cache" in settings:
        settings = {**settings, "reference_cache": str(folder / "cache"), "steps": 1}
    own = with_config(setup, **settings)
    run = started(own, name, folder / case, **given)
    policy = run.policies.policy
    for step in range(1, 5):  # often enough for anchors to be written over
        run.updater.gradients.of(run.data.draw(1), run.updater.lam)
        run.updater.optimizer.zero_grad()
        copy_parameters(moved(own, step), policy.model)
        if run.policies.anchors is not None:
            run.policies.anchors.advance(step)
        if run.policies.lagged is not None:
            run.policies.lagged.advance()
    copy_parameters(moved(own, 0), policy.model)
    metrics = run.updater.gradients.of(run.data.draw(1), run.updater.lam)
    values = metrics.values | {"tokens": metrics.tokens, "frozen": metrics.frozen_tokens}
    if metrics.divergence is not None:
        values["divergence"] = metrics.divergence
    named = trained_parameters(policy.model).items()
    return {n: whole_tensor(p.grad).clone() for n, p in named}, values


def moved(setup: Setup, seed: int) -> torch.nn.Module:
    whole = adapted(setup.base.model, setup.config) if setup.config.lora_rank else setup.base.model
    model = copy.deepcopy(whole.model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trained_parameters(model).values():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    return model


def small_set_up(folder: Path) -> Setup:
    """Return the built-in model with the first of its rollouts, which are few enough to cache."""
    file = folder / "rollouts.parquet"
    if processes.is_main():
        pd.read_parquet(BUILTIN_ROLLOUTS).head(240).to_parquet(file)
    processes.wait()
    return set_up(replace(CONFIG, data=str(file)))


def main(folder: Path) -> None:
    processes.begin("cpu")
    setup = small_set_up(folder)
    for case in CASES:
        grads, values = gradients(setup, case, folder)
        if processes.is_main():
            save_file(grads, folder / f"{case}.safetensors")
            (folder / f"{case}.json").write_text(json.dumps(values))


if __name__ == "__main__":
    processes.together(partial(main, Path(sys.argv[1])))
