"""Every number of a comparison, by hand, on a few problems."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from eval.compare.comparison import compare_runs
from eval.compare.plots import (
    _scale,
    draw_compute,
    draw_differences,
    draw_steps,
    gained_and_forgotten,
)
from eval.compare.runs import read_runs
from eval.compare.words import display_sweep, display_table, notes
from eval.statistics import holm, paired_bootstrap, score_interval
from objectives.errors import InputError
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


def _rows(comparison):
    return comparison.table.set_index("objective").T.to_dict()


def _digits(*rows):
    return np.array([[int(digit) for digit in row] for row in rows])


def test_accuracies(two):
    rows = _rows(compare_runs(two, "greedy", "offline_rl"))
    assert list(rows) == ["fpa", "offline_rl", "dpo"]  # by accuracy after the last step
    fallen, risen = rows["offline_rl"], rows["fpa"]
    assert (fallen["seeds"], fallen["best_step"], fallen["last_step"]) == (2, 1, 2)
    assert (fallen["greedy_start"], fallen["greedy_best"]) == (0.25, 0.6875)
    assert (fallen["greedy_last"], fallen["drop"]) == (0.375, 0.3125)
    assert (risen["best_step"], risen["greedy_last"], risen["drop"]) == (2, 0.875, 0)
    assert (fallen["sampled_best"], fallen["sampled_last"]) == (0.125, (6 + 4) / 32)
    assert risen["sampled_last"] == (14 + 13) / 32
    low, high = score_interval(_digits("11110000", "11000000"))[1:]
    assert (fallen["greedy_last_low"], fallen["greedy_last_high"]) == (low, high)
    low, high = score_interval(_digits("22222211", "22222210") / 2)[1:]
    assert (risen["sampled_last_low"], risen["sampled_last_high"]) == (low, high)


def test_differences_from_the_baseline(two):
    rows = _rows(compare_runs(two, "greedy", "offline_rl"))
    base = _digits("11110000", "11000000")
    fpa = paired_bootstrap(_digits("11111110", "11111110"), base)
    dpo = paired_bootstrap(_digits(START), base)
    assert fpa.mean == 0.5
    names = ("difference", "difference_low", "difference_high", "p_value")
    for name, found in (("fpa", fpa), ("dpo", dpo)):
        assert tuple(rows[name][column] for column in names) == found
    adjusted = [rows["fpa"]["p_adjusted"], rows["dpo"]["p_adjusted"]]
    assert adjusted == holm([fpa.p_value, dpo.p_value]).tolist()
    assert math.isnan(rows["offline_rl"]["difference"])
    assert math.isnan(rows["offline_rl"]["p_adjusted"])


def test_the_metric_and_the_baseline_are_chosen(two):
    rows = _rows(compare_runs(two, "sampled", "dpo"))
    assert rows["fpa"]["difference"] == 27 / 32 - 1 / 8
    assert rows["fpa"]["best_step"] == 2
    assert rows["offline_rl"]["drop"] == 0
    with pytest.raises(InputError, match="--baseline kto is not among the runs: name one of dpo"):
        compare_runs(two, "greedy", "kto")


def test_costs_are_means_over_seeds_and_empty_for_older_runs(two):
    rows = _rows(compare_runs(two, "greedy", "offline_rl"))
    assert rows["offline_rl"]["seconds"] == 100
    assert rows["fpa"]["flops"] == 5.5e12
    assert rows["fpa"]["tokens_generated"] == 500
    assert rows["fpa"]["peak_memory_bytes"] == 2.5e9
    assert rows["dpo"]["tokens_trained"] == 2000  # of metrics.jsonl
    for name in ("tokens_generated", "flops", "seconds", "peak_memory_bytes"):
        assert math.isnan(rows["dpo"][name])


def test_problems_gained_and_forgotten(two):
    table = gained_and_forgotten(compare_runs(two, "greedy", "offline_rl"))
    assert table.set_index(["objective", "since"]).T.to_dict("list") == {
        ("fpa", "start"): [5 / 8, 0],
        ("fpa", "best"): [0, 0],
        ("offline_rl", "start"): [1 / 8, 0],  # two problems with one seed, none with the other
        ("offline_rl", "best"): [0, 5 / 16],
        ("dpo", "start"): [0, 0],
        ("dpo", "best"): [0, 0],
    }


def test_the_table_to_read(two):
    shown = display_table(compare_runs(two, "greedy", "offline_rl")).set_index("objective")
    fpa, base, dpo = shown.T.to_dict().values()
    assert fpa["greedy, last"].startswith(".875 [.")
    assert fpa["against offline_rl"].startswith("+.500 [+.")
    assert base["against offline_rl"] == "baseline"
    assert base["p (Holm)"] == ""
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
    assert "1 or 2 seeds tell little" in said
    assert "a line with one seed tells nothing of others" in said
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


def test_a_rate_is_chosen_on_even_problems_and_judged_on_odd_ones(tmp_path):
    """Problems count from 0. 1e-5 is right on all even ones and one odd one, 2e-5 the reverse."""
    runs = _sweep(tmp_path, {1e-5: ("00000000", "11101010"), 2e-5: ("00000000", "11010101")})
    comparison = compare_runs(runs, "greedy", "offline_rl")
    assert comparison.sweep.loc["fpa"].to_dict() == {1e-5: 1.0, 2e-5: 0.25}
    assert comparison.sweep.loc["offline_rl", 1e-5] == 0.25
    rows = _rows(comparison)
    assert (rows["fpa"]["learning_rate"], rows["fpa"]["greedy_last"]) == (1e-5, 0.25)
    assert rows["offline_rl"]["greedy_last"] == 0.5  # of problems 1, 3, 5 and 7
    assert rows["fpa"]["difference"] == -0.25
    # Right on every even problem after the first step, on no odd one.
    assert (rows["offline_rl"]["best_step"], rows["offline_rl"]["greedy_best"]) == (1, 0)
    assert rows["offline_rl"]["drop"] == -0.5
    cells = display_sweep(comparison).set_index("objective").T.to_dict()
    assert cells["fpa"] == {"1e-05": "1.000 (1)*", "2e-05": ".250 (1)"}
    assert cells["offline_rl"] == {"1e-05": ".250 (1)*", "2e-05": ""}
    said = " ".join(notes(comparison, []))
    assert "4 test problems" in said
    assert "on the even-numbered of 8 problems" in said
    assert "flatters" not in said


def test_of_equal_rates_the_lowest_is_taken(tmp_path):
    runs = _sweep(tmp_path, {2e-5: (START, START), 1e-5: (START, START)})
    rows = _rows(compare_runs(runs, "greedy", "offline_rl"))
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


def test_curves_are_means_with_the_range_of_seeds(two):
    figure = draw_steps(compare_runs(two, "greedy", "offline_rl"))
    assert [axis.get_title() for axis in figure.axes] == ["fpa", "offline_rl", "dpo"]
    axis = figure.axes[1]
    own = axis.lines[-1]
    assert own.get_xdata().tolist() == [0, 1, 2]
    assert own.get_ydata().tolist() == [0.25, 0.6875, 0.375]
    band = axis.collections[0].get_datalim(axis.transData)
    assert (band.y0, band.y1) == (0.25, 0.75)
    assert len(axis.lines) == 3


def test_compute_is_flops_where_all_tell_them_else_tokens(two):
    figure = draw_compute(compare_runs(two, "greedy", "offline_rl"))
    assert figure.get_supxlabel() == "tokens trained"
    newer = [run for run in two if run.objective != "dpo"]
    figure = draw_compute(compare_runs(newer, "greedy", "offline_rl"))
    assert figure.get_supxlabel() == "FLOPs, estimated"
    axis = figure.axes[1]
    own = next(line for line in axis.lines if line.get_marker() == "o")
    assert own.get_xdata().tolist() == [2e12, 3e12]  # the start cost nothing
    assert own.get_ydata().tolist() == [0.6875, 0.375]
    assert axis.get_xscale() == "linear"  # within a decade


@pytest.mark.parametrize(("highest", "scale"), [(9e12, "linear"), (1e13, "log"), (3e15, "log")])
def test_compute_over_a_decade_is_logarithmic(highest, scale):
    axis = Figure().subplots()
    _scale(axis, [SimpleNamespace(x=np.array([1e12, highest]))])
    axis.set_xlim(1e12, highest)
    assert axis.get_xscale() == scale
    labels = [axis.xaxis.get_major_formatter()(x, 0) for x in axis.get_xticks()]
    assert 2 <= sum(1e12 <= x <= highest for x in axis.get_xticks()) <= 8
    assert all("e" in label and len(label) <= 7 for label in labels if label != "0")


def test_differences_are_drawn_where_there_are_any(two):
    axis = draw_differences(compare_runs(two, "greedy", "offline_rl")).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["fpa", "dpo"]
    points = [line.get_xdata() for line in axis.lines if line.get_marker() == "o"]
    assert [float(np.ravel(point)[0]) for point in points] == [0.5, -0.125]
    alone = [run for run in two if run.objective == "fpa"]
    assert draw_differences(compare_runs(alone, "greedy", "fpa")) is None
