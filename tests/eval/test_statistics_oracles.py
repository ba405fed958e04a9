"""Statistics against statsmodels and scipy, where these have them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from eval.statistics import holm, paired_bootstrap, pass_at_k, score_interval


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
def test_differences_of_one_seed_are_scipy_s_paired_bootstrap(shift):
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 150))
    a = a + shift
    found = paired_bootstrap(a, b, resamples=40_000)
    expected = stats.bootstrap(
        (a, b), lambda x, y, axis: (x - y).mean(axis), paired=True, vectorized=True,
        method="percentile", n_resamples=40_000, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    spread = float(np.std(a - b)) / math.sqrt(150)
    assert found.low == pytest.approx(expected.low, abs=0.04 * spread)
    assert found.high == pytest.approx(expected.high, abs=0.04 * spread)


@pytest.mark.parametrize("shift", [0.02, 0.05, 0.08])
def test_p_of_many_problems_is_about_that_of_a_paired_t_test(shift):
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 400))
    a = a - a.mean() + b.mean() + shift
    found = paired_bootstrap(a, b, resamples=40_000).p_value
    assert found == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.012)
