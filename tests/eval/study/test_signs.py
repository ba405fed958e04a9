"""Rank correlations of what is seen early with what is lost, and their intervals."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from eval.study.signs import rank_correlation


def test_it_is_spearmans_with_ties_over_all_runs():
    random = np.random.default_rng(0)
    pairs = random.integers(6, size=(24, 2)) + np.array([[i % 3, i % 5] for i in range(24)])
    groups = [[tuple(pair) for pair in pairs[at : at + 3]] for at in range(0, 24, 3)]
    found, low, high = rank_correlation(groups)
    assert found == pytest.approx(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
    assert low < found < high
    assert rank_correlation(groups) == (found, low, high)


def test_seeds_of_a_curve_are_no_more_sure_than_their_curves():
    curves = [(float(n), float(n * n % 7)) for n in range(8)]
    one, several = ([[pair] * seeds for pair in curves] for seeds in (1, 5))
    assert rank_correlation(several) == pytest.approx(rank_correlation(one))


def test_what_does_not_vary_has_none():
    assert all(map(math.isnan, rank_correlation([[(1.0, 2.0)], [(1.0, 3.0)]])))
