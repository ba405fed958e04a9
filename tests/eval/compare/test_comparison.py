"""Every number of a comparison, by hand, on a few problems."""

import math

import pytest

from eval.compare.comparison import compare_runs
from eval.compare.runs import read_runs
from eval.compare.words import display_table, notes, p_value
from eval.statistics import holm, paired_difference, score_interval
from objectives.errors import InputError
from tests.helpers.comparisons import digits, rows_of
from tests.helpers.run_folders import write_run
from train.config import UNTRAINED

START = "11000000"


def test_accuracies(two):
    rows = rows_of(compare_runs(two, "greedy", "offline_rl"))
    assert list(rows) == ["fpa", "offline_rl", "dpo"]  # by accuracy after the last step
    fallen, risen = rows["offline_rl"], rows["fpa"]
    assert (fallen["seeds"], fallen["best_step"], fallen["last_step"]) == (2, 1, 2)
    assert (fallen["greedy_start"], fallen["greedy_best"]) == (0.25, 0.6875)
    assert (fallen["greedy_last"], fallen["drop"]) == (0.375, 0.3125)
    assert (risen["best_step"], risen["greedy_last"], risen["drop"]) == (2, 0.875, 0)
    assert (fallen["sampled_best"], fallen["sampled_last"]) == (0.125, (6 + 4) / 32)
    assert risen["sampled_last"] == (14 + 13) / 32
    low, high = score_interval(digits("11110000", "11000000"))[1:]
    assert (fallen["greedy_last_low"], fallen["greedy_last_high"]) == (low, high)
    low, high = score_interval(digits("22222211", "22222210") / 2)[1:]
    assert (risen["sampled_last_low"], risen["sampled_last_high"]) == (low, high)


def test_differences_from_the_baseline(two):
    rows = rows_of(compare_runs(two, "greedy", "offline_rl"))
    base = digits("11110000", "11000000")
    fpa = paired_difference(digits("11111110", "11111110"), base)
    dpo = paired_difference(digits(START), base)
    assert fpa.mean == 0.5
    names = ("difference", "difference_low", "difference_high", "p_value")
    for name, found in (("fpa", fpa), ("dpo", dpo)):
        columns = tuple(rows[name][column] for column in names)
        assert columns == pytest.approx(found, nan_ok=True)
    assert rows["fpa"]["p_adjusted"] == fpa.p_value  # of one comparison
    for name in ("p_value", "p_adjusted", "p_better"):  # dpo has one seed
        assert math.isnan(rows["dpo"][name])
        assert math.isnan(rows["offline_rl"][name])
    assert math.isnan(rows["offline_rl"]["difference"])
    assert rows["fpa"]["p_better"] == 1  # .875 and .875 against .5 and .25
    assert [rows[name]["iqm_last"] for name in rows] == [0.875, 0.375, 0.25]


def test_p_values_are_adjusted_for_all_lines_that_have_one(tmp_path):
    lasts = {"offline_rl": ("11000000", "11100000"), "fpa": ("11111100", "11111000"),
             "dpo": ("11100000", "11000001"), "sft": ("11111111", "11111110")}  # fmt: skip
    for objective, rows in lasts.items():
        for seed, last in enumerate(rows):
            write_run(tmp_path / f"{objective}-{seed}", objective, {0: START, 2: last}, seed=seed)
    write_run(tmp_path / "kto", "kto", {0: START, 2: START})
    rows = rows_of(compare_runs(read_runs([tmp_path], UNTRAINED)[0], "greedy", "offline_rl"))
    base = digits(*lasts["offline_rl"])
    names = ["fpa", "dpo", "sft"]
    expected = holm([paired_difference(digits(*lasts[n]), base).p_value for n in names])
    assert [rows[name]["p_adjusted"] for name in names] == pytest.approx(expected.tolist())
    assert rows["dpo"]["p_better"] == 0.75  # .375 and .375 against .25 and .375
    assert math.isnan(rows["kto"]["p_adjusted"])


def test_the_metric_and_the_baseline_are_chosen(two):
    rows = rows_of(compare_runs(two, "sampled", "dpo"))
    assert rows["fpa"]["difference"] == 27 / 32 - 1 / 8
    assert rows["fpa"]["best_step"] == 2
    assert rows["offline_rl"]["drop"] == 0
    with pytest.raises(InputError, match="--baseline kto is not among the runs: name one of dpo"):
        compare_runs(two, "greedy", "kto")


def test_costs_are_means_over_seeds_and_empty_for_older_runs(two):
    rows = rows_of(compare_runs(two, "greedy", "offline_rl"))
    assert rows["offline_rl"]["seconds"] == 100
    assert rows["fpa"]["flops"] == 5.5e12
    assert rows["fpa"]["tokens_generated"] == 500
    assert rows["fpa"]["peak_memory_bytes"] == 2.5e9
    assert rows["dpo"]["tokens_trained"] == 2000  # of metrics.jsonl
    for name in ("tokens_generated", "flops", "seconds", "peak_memory_bytes"):
        assert math.isnan(rows["dpo"][name])


def test_the_table_to_read(two):
    shown = display_table(compare_runs(two, "greedy", "offline_rl")).set_index("objective")
    fpa, base, dpo = shown.T.to_dict().values()
    assert fpa["greedy, last"].startswith(".875 [.")
    assert fpa["against offline_rl"].startswith("+.500 [-1.000")  # two seeds
    assert base["against offline_rl"] == "baseline"
    assert base["p (Holm)"] == dpo["p (Holm)"] == dpo["P(better)"] == ""
    assert fpa["p (Holm)"].startswith(".")
    assert fpa["P(better)"] == "1.000"
    assert "rates" not in fpa  # where nothing was swept
    assert "IQM, last" not in fpa  # of two seeds it is the mean
    assert (fpa["learning rate"], fpa["drop"], base["drop"]) == ("1e-05", ".000", ".312")
    assert (fpa["FLOPs"], base["minutes"], base["memory"]) == ("5.5e12", "1.7", "2.5 GB")
    assert (dpo["tokens trained"], dpo["FLOPs"], dpo["minutes"], dpo["memory"]) == (
        "2 k",
        "",
        "",
        "",
    )


def test_the_notes_say_what_the_table_cannot(two):
    comparison = compare_runs(two, "greedy", "offline_rl")
    said = " ".join(notes(comparison, ["runs/x: unfinished"]))
    assert "accuracy at the best step flatters" in said
    assert "2 seeds tell little" in said
    assert "A line with one seed, and a difference from one, has an interval over problems" in said
    assert "8 test problems" in said
    assert "Left out: runs/x: unfinished." in said
    assert "Not equal for all" not in said


def _sweep(tmp_path, rates, **settings):
    """rates: verdicts after the first and the last step for each learning rate of fpa."""
    write_run(tmp_path / "base", "offline_rl", {0: START, 1: "10101010", 2: "01110000"}, **settings)
    for rate, (first, last) in rates.items():
        greedy = {0: START, 1: first, 2: last}
        write_run(tmp_path / f"{rate}", "fpa", greedy, learning_rate=rate)
    return read_runs([tmp_path], UNTRAINED)[0]


def test_of_equal_rates_the_lowest_is_taken(tmp_path):
    runs = _sweep(tmp_path, {2e-5: (START, START), 1e-5: (START, START)})
    rows = rows_of(compare_runs(runs, "greedy", "offline_rl"))
    assert rows["fpa"]["learning_rate"] == 1e-5


def test_other_settings_that_differ_are_told(tmp_path):
    _sweep(tmp_path, {1e-5: (START, START)}, batch_size=32)
    write_run(tmp_path / "third", "dpo", {0: START, 1: START, 2: START})
    runs = read_runs([tmp_path], UNTRAINED)[0]
    comparison = compare_runs(runs, "greedy", "offline_rl")
    assert comparison.sweep is None
    said = " ".join(notes(comparison, []))
    assert "Not equal for all: batch size is 32 for offline_rl; 64 for the rest." in said


def test_columns_without_anything_are_not_shown(tmp_path):
    write_run(tmp_path / "a", "fpa", {0: "01", 2: "11"}, result=None)
    shown = display_table(compare_runs(read_runs([tmp_path], UNTRAINED)[0], "greedy", "fpa"))
    assert list(shown) == [
        "objective", "seeds", "learning rate", "best (step)", "last (step)", "greedy, best",
        "greedy, last", "drop", "against fpa", "tokens trained",
    ]  # fmt: skip


def test_a_baseline_of_several_lines_must_be_one_of_them(tmp_path):
    for lam in (1.0, 2.0):
        write_run(tmp_path / f"{lam}", "fpa", {0: "01", 2: "11"}, lam=lam)
    runs = read_runs([tmp_path], UNTRAINED)[0]
    with pytest.raises(InputError, match="is several: name one of fpa lam=1, fpa lam=2"):
        compare_runs(runs, "greedy", "fpa")
    assert compare_runs(runs, "greedy", "fpa lam=2").baseline == "fpa lam=2"
    with pytest.raises(InputError, match=r"--metric sampled: .* has no sampled completions"):
        compare_runs(runs, "sampled", "fpa lam=2")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, ".500"), (0.0123, ".012"), (0.0031, ".0031"), (1e-4, ".0001"), (9e-5, "<.0001"),
     (1e-16, "<.0001"), (1.0, "1.000"), (math.nan, "")],
)  # fmt: skip
def test_no_p_is_shown_smaller_than_it_can_be_told(value, shown):
    assert p_value(value) == shown
