"""What figures of a comparison show."""

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


def test_a_difference_without_p_is_drawn_without_one(two):
    axis = draw_differences(compare_runs(two, "greedy", "offline_rl")).axes[0]
    assert [text.get_text().partition("   ")[0] for text in axis.texts] == ["+.500", "-.125"]
    assert ["p = " in text.get_text() for text in axis.texts] == [True, False]


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
