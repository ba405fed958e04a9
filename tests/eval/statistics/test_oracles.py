"""Statistics against statsmodels and scipy, where these have them."""

import gc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from eval.statistics import (
    holm,
    interquartile_mean,
    paired_difference,
    pass_at_k,
    probability_of_improvement,
    score_interval,
)


@pytest.fixture(scope="module", autouse=True)
def nothing_to_collect():
    """multipletests collects garbage at every call, which takes long where much is loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
       st.sampled_from([0.5, 0.9, 0.95, 0.99]))  # fmt: skip
def test_the_interval_of_right_and_wrong_is_wilson_s(counts, confidence):
    right, total = counts
    found = score_interval([1.0] * right + [0.0] * (total - right), confidence)
    low, high = proportion_confint(right, total, 1 - confidence, "wilson")
    assert found == pytest.approx((right / total, low, high), abs=1e-12)
    test = stats.binomtest(right, total).proportion_ci(confidence, "wilson")
    assert found[1:] == pytest.approx((test.low, test.high), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_holm_s(p_values):
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 200).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))
))  # fmt: skip
def test_pass_at_k_is_the_chance_of_a_draw_without_replacement(case):
    samples, right, k = case
    (found,) = pass_at_k([[1] * right + [0] * (samples - right)], k)
    expected = stats.hypergeom(samples, right, k).sf(0)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1])
def test_an_interval_over_problems_is_a_paired_t_test_s(shift):
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 150)) * 0.8
    found = paired_difference(a + shift, b)
    expected = stats.ttest_rel(a + shift, b).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5),
       st.lists(st.floats(0, 1), min_size=2, max_size=5))  # fmt: skip
def test_p_over_seeds_alone_is_welch_s(a, b):
    """Runs have the same score on all problems but for next to nothing, so only seeds matter."""
    assume(np.ptp(a) > 1e-3 and np.ptp(b) > 1e-3)
    assume(abs(np.mean(a) - np.mean(b)) > 1e-3)
    one = np.array(a)[:, None] * (1 - 1e-8) + np.linspace(0, 1e-8, 60)
    other = np.repeat(np.array(b)[:, None], 60, axis=1)
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval()
    found = paired_difference(one, other)
    assert found.low == pytest.approx(max(-1, interval.low), abs=1e-5)
    assert found.high == pytest.approx(min(1, interval.high), abs=1e-5)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-4)


RUNS = st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.8]), min_size=1, max_size=9)


@given(RUNS, RUNS)
def test_probability_of_improvement_is_mann_and_whitney_s(a, b):
    expected = stats.mannwhitneyu(a, b, alternative="greater").statistic / (len(a) * len(b))
    assert probability_of_improvement([a], [b]) == pytest.approx(expected)


@given(RUNS)
def test_the_interquartile_mean_is_a_trimmed_mean(accuracies):
    assert interquartile_mean(accuracies) == pytest.approx(stats.trim_mean(accuracies, 0.25))
