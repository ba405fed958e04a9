"""Means of scores without bounds: scipy's t-tests, and what cannot be told."""

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from eval.statistics import mean_interval, mean_paired_difference


def test_intervals_and_differences_are_students():
    generator = np.random.default_rng(3)
    a, b = generator.normal(5, 30, (2, 17))
    expected = t.interval(0.95, 16, loc=a.mean(), scale=a.std(ddof=1) / np.sqrt(17))
    assert mean_interval(a) == pytest.approx((a.mean(), *expected), rel=1e-9)
    found, own = mean_paired_difference(a, b), ttest_rel(a, b)
    interval = own.confidence_interval(0.95)
    assert tuple(found) == pytest.approx(((a - b).mean(), *interval, own.pvalue), rel=1e-9)


def test_scores_that_are_alike_and_single_ones_have_no_interval():
    for values in ([7.5], [2.0, 2.0, 2.0]):
        mean, *interval = mean_interval(values)
        assert mean == values[0]
        assert np.isnan(interval).all()
    mean, *rest = mean_paired_difference([1e6, 2e6], [1e6 - 3, 2e6 - 3])
    assert mean == 3
    assert np.isnan(rest).all()


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, float("nan")]])
def test_what_is_no_score_is_refused(values):
    with pytest.raises(ValueError, match="finite scores"):
        mean_interval(values)


def test_sides_of_other_problems_are_refused():
    with pytest.raises(ValueError, match="must have the same"):
        mean_paired_difference([1.0, 2.0], [1.0])
