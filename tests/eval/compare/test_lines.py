"""A learning rate is chosen and judged by different seeds on different problems, by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from eval.compare.comparison import compare_runs
from eval.compare.groups import Group
from eval.compare.lines import chosen_line
from eval.compare.runs import read_runs
from eval.compare.words import display_sweep, display_table, notes
from eval.statistics import paired_difference
from tests.helpers.comparisons import digits, rows_of
from tests.helpers.run_folders import write_run
from train.config import UNTRAINED

START = "11000000"


def _swept(tmp_path, runs, **settings):
    """runs: verdicts after the last step by objective, rate and seed; 10101010 after the first."""
    for (objective, rate, seed), last in runs.items():
        greedy = {0: START, 1: "10101010", 2: last}
        folder = tmp_path / f"{objective}-{rate}-{seed}"
        write_run(folder, objective, greedy, learning_rate=rate, seed=seed, **settings)
    return read_runs([tmp_path], UNTRAINED)[0]


SWEPT = {
    # Seed 0 chooses, on problems 0, 2, 4 and 6: there it is right on all at 1e-5, on 3 at 2e-5.
    ("fpa", 1e-5, 0): "11101010", ("fpa", 1e-5, 1): "00000001", ("fpa", 1e-5, 2): "01010001",
    ("fpa", 2e-5, 0): "11111101", ("fpa", 2e-5, 1): "11111111", ("fpa", 2e-5, 2): "11111111",
    ("offline_rl", 1e-5, 0): "11110000", ("offline_rl", 1e-5, 1): "01010000",
    ("offline_rl", 1e-5, 2): "01110101",
    ("offline_rl", 2e-5, 0): "10001000", ("offline_rl", 2e-5, 1): "11111111",
    ("offline_rl", 2e-5, 2): "00001100",
}  # fmt: skip


def test_a_rate_is_chosen_and_judged_by_other_seeds_on_other_problems(tmp_path):
    """Of three seeds the first chooses, on even-numbered problems from 0; the others are judged."""
    comparison = compare_runs(_swept(tmp_path, SWEPT), "greedy", "offline_rl")
    accuracies = comparison.sweep.accuracy
    assert accuracies.loc["fpa"].to_dict() == {1e-5: 1.0, 2e-5: 0.75}
    assert accuracies.loc["offline_rl"].to_dict() == {1e-5: 0.5, 2e-5: 0.5}  # the lowest is taken
    fpa, base = (rows_of(comparison)[name] for name in ("fpa", "offline_rl"))
    assert (fpa["seeds"], fpa["rates"], fpa["learning_rate"]) == (2, 2, 1e-5)
    assert fpa["greedy_last"] == (1 + 3) / 8  # seeds 1 and 2, problems 1, 3, 5 and 7
    assert base["greedy_last"] == (2 + 4) / 8
    assert fpa["difference"] == -0.25
    own, other = digits("0001", "1101"), digits("1100", "1111")
    assert fpa["p_value"] == paired_difference(own, other).p_value
    # offline_rl's seed 0 is best after the first step on even problems, the others on no odd one.
    assert (base["best_step"], base["greedy_best"], base["drop"]) == (1, 0, -0.75)
    said = " ".join(notes(comparison, []))
    assert "4 test problems" in said
    assert "of the other seeds, on the odd-numbered problems" in said
    assert "on the even-numbered of 8 problems" in said
    assert "flatters" not in said
    assert "Not equal for all" not in said


def test_what_is_known_of_all_rates_is_of_all_runs_on_all_problems(tmp_path):
    comparison = compare_runs(_swept(tmp_path, SWEPT), "greedy", "offline_rl")
    own = comparison.sweep.over_rates.T.to_dict()
    # Of 1/8, 3/8, 5/8, 7/8, 1, 1 the first and the last are left out.
    assert own["fpa"]["iqm"] == (3 + 5 + 7 + 8) / 32
    # At 1e-5 5, 1, 3 of 8 against 4, 2, 5 (5 wins 2 and draws, 3 wins 1); at 2e-5 7, 8, 8
    # against 2, 8, 2 (7 wins 2, each 8 wins 2 and draws).
    assert own["fpa"]["p_better"] == pytest.approx(((2.5 + 1) / 9 + (2 + 2.5 + 2.5) / 9) / 2)
    assert math.isnan(own["offline_rl"]["p_better"])
    cells = display_sweep(comparison).set_index("objective").T.to_dict()
    assert cells["fpa"]["1e-05"] == "1.000 (1)*"
    assert cells["fpa"]["2e-05"] == ".750 (1)"
    assert cells["fpa"]["IQM, all runs"] == ".719"
    assert cells["fpa"]["P(better), all rates"] == ".583"
    assert cells["offline_rl"]["P(better), all rates"] == ""


def test_one_seed_that_chooses_and_is_judged_is_told(tmp_path):
    runs = {key: last for key, last in SWEPT.items() if key[2] == 0}
    comparison = compare_runs(_swept(tmp_path, runs), "greedy", "offline_rl")
    row = rows_of(comparison)["fpa"]
    assert (row["seeds"], row["greedy_last"]) == (1, 0.25)  # problems 1, 3, 5, 7 of 11101010
    assert math.isnan(row["p_value"])
    said = " ".join(notes(comparison, []))
    assert "the run that chose is the one that is judged: offline_rl, fpa." in said
    assert "flatters by about .8 of the standard deviation of runs" in said
    assert "there are no p-values" in said


def test_of_two_seeds_one_chooses_and_one_is_judged(tmp_path):
    runs = {key: last for key, last in SWEPT.items() if key[2] < 2}
    comparison = compare_runs(_swept(tmp_path, runs), "greedy", "offline_rl")
    row = rows_of(comparison)["fpa"]
    assert (row["seeds"], row["learning_rate"], row["greedy_last"]) == (1, 1e-5, 0.25)
    assert math.isnan(row["p_value"])
    said = " ".join(notes(comparison, []))
    assert "One seed each is judged, as the other chose: intervals are over problems alone" in said
    assert "flatters" not in said


def test_objectives_with_more_rates_are_told(tmp_path):
    runs = {k: v for k, v in SWEPT.items() if k[0] == "fpa" or k[1] == 1e-5}
    comparison = compare_runs(_swept(tmp_path, runs), "greedy", "offline_rl")
    assert {name: row["rates"] for name, row in rows_of(comparison).items()} == {
        "fpa": 2, "offline_rl": 1,
    }  # fmt: skip
    shown = display_table(comparison).set_index("objective")["rates"].to_dict()
    assert shown == {"fpa": "2", "offline_rl": "1"}
    said = " ".join(notes(comparison, []))
    assert "Not equal for all: the number of learning rates tried is" in said
    assert "a difference between such lines is of the search, too" in said


def test_choosing_flatters_a_single_seed_and_no_others():
    """Three rates that are equal in truth, runs that scatter by .06: what each way to judge shows.

    A single run is chosen for its luck and judged with it: .846 x .06 too high, the mean of the
    highest of three normal numbers. Seeds that do not choose show the truth.
    """
    rng = np.random.default_rng(0)
    shown = {1: [], 3: []}
    for seeds, values in shown.items():
        for _ in range(400):
            by_rate = {}
            for rate in (1e-6, 3e-6, 1e-5):
                share = np.clip(rng.normal(0.5, 0.06, seeds), 0, 1)
                by_rate[rate] = [
                    SimpleNamespace(
                        config={"steps": 1},
                        scores={"greedy": pd.DataFrame(rng.random((2, 400)) < s, dtype=float)},
                    )
                    for s in share
                ]
            line = chosen_line(Group("fpa", "fpa", by_rate), "greedy", np.arange(400))
            values.append(line.scores("greedy", 1).mean())
    assert np.mean(shown[1]) - 0.5 == pytest.approx(0.846 * 0.06, abs=0.012)
    assert np.mean(shown[3]) == pytest.approx(0.5, abs=0.009)
