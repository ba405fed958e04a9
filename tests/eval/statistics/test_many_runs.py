"""Statistics over many runs, by hand and by simulation."""

import numpy as np
import pytest

from eval.statistics import holm, interquartile_mean, probability_of_improvement


def test_holm_by_hand():
    """.01 x 4, .02 x 3, .03 x 2 but no less than the one before, .9 x 1."""
    assert holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]).tolist() == []


def test_holm_keeps_the_chance_of_any_false_claim():
    rng = np.random.default_rng(0)
    claims = [holm(p).min() < 0.1 for p in rng.random((4000, 5))]
    assert np.mean(claims) == pytest.approx(1 - (1 - 0.1 / 5) ** 5, abs=0.015)


@pytest.mark.parametrize("values", [[-0.1], [1.1], [float("nan")], [[0.1]]])
def test_holm_refuses_what_is_no_p_value(values):
    with pytest.raises(ValueError, match="p-values in"):
        holm(values)


def test_probability_of_improvement_counts_pairs_of_runs():
    """.5 beats .4 and .3, ties with .5; .2 beats nothing: 2.5 of 6. On the second task all of 1."""
    first = probability_of_improvement([[0.5, 0.2]], [[0.4, 0.3, 0.5]])
    assert first == pytest.approx(2.5 / 6)
    both = probability_of_improvement([[0.5, 0.2], [0.9]], [[0.4, 0.3, 0.5], [0.1]])
    assert both == pytest.approx((2.5 / 6 + 1) / 2)
    assert probability_of_improvement([[0.4, 0.3]], [[0.4, 0.3]]) == 0.5


def test_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert interquartile_mean([0.9, 0.1, 0.5, 0.3]) == pytest.approx(0.4)
    assert interquartile_mean([0.0, 0.9, 0.6]) == pytest.approx(0.5)  # of three nothing
    assert interquartile_mean([0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0]) == pytest.approx(0.45)


@pytest.mark.parametrize("values", [[0.5, float("nan")], [], [[0.5]], [None]])
def test_what_is_no_accuracy_is_refused(values):
    with pytest.raises(ValueError, match="expected accuracies of runs"):
        interquartile_mean(values)
    with pytest.raises(ValueError, match="expected accuracies of runs"):
        probability_of_improvement([[0.5]], [values])
    with pytest.raises(ValueError, match="2 and 1 tasks"):
        probability_of_improvement([[0.5], [0.4]], [values])
