"""Runs of three objectives, two of them with two seeds."""

import pytest

from eval.compare.runs import read_runs
from tests.helpers.run_folders import write_run
from train.config import UNTRAINED

START = "11000000"


@pytest.fixture
def two(tmp_path):
    """offline_rl reaches .6875 and falls to .375; fpa reaches .875; dpo, an older run, stays."""
    runs = [
        ("offline_rl", 0, {0: START, 1: "11111100", 2: "11110000"}, {2: "22110000"}, {}),
        ("offline_rl", 1, {0: START, 1: "11111000", 2: START}, {2: "22000000"}, {"seconds": 110.0}),
        ("fpa", 0, {0: START, 1: "11111100", 2: "11111110"}, {2: "22222211"}, {"flops": 5e12}),
        ("fpa", 1, {0: START, 1: "11110000", 2: "11111110"}, {2: "22222210"}, {"flops": 6e12}),
        ("dpo", 0, {0: START, 1: START, 2: START}, {2: START}, None),
    ]  # fmt: skip
    for objective, seed, greedy, sampled, result in runs:
        sampled = {0: START, 1: START} | sampled
        folder = tmp_path / f"{objective}-{seed}"
        write_run(folder, objective, greedy, sampled, result=result, seed=seed)
    return read_runs([tmp_path], UNTRAINED)[0]
