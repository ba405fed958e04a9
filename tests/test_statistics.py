"""Intervals over problems, against the closed form and by simulation."""

import math

import numpy as np
import pytest

from eval.statistics import average_at_k, score_interval


def test_is_wilson_s_interval_for_right_and_wrong():
    """7 of 20 at 95 %: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)."""
    z, n, p = 1.959963984540054, 20, 0.35
    root = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = [(p + z * z / (2 * n) + sign * root) / (1 + z * z / n) for sign in (-1, 1)]
    assert score_interval([1] * 7 + [0] * 13) == pytest.approx((p, *expected))


def test_all_right_or_all_wrong_leaves_doubt():
    assert score_interval([1.0] * 10) == pytest.approx((1.0, 0.7224672, 1.0))
    assert score_interval([0.0] * 10)[1:] == pytest.approx((0.0, 0.2775328))


@pytest.mark.parametrize("samples", [1, 4])
def test_covers_what_it_says(samples):
    """Problems of different difficulty; the truth is the mean over the population."""
    rng = np.random.default_rng(0)
    difficulty = rng.beta(0.5, 0.8, (2000, 60))
    scores = rng.binomial(samples, difficulty) / samples
    truth = 0.5 / 1.3
    inside = [low <= truth <= high for _, low, high in map(score_interval, scores)]
    assert 0.93 <= np.mean(inside) <= 0.97


def test_more_samples_narrow_the_interval():
    few, many = score_interval([1, 0] * 10), score_interval([0.75, 0.25] * 10)
    assert many[2] - many[1] < few[2] - few[1]


def test_average_at_k():
    assert average_at_k([[1, 0], [1, 1]]).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="problems x samples"):
        average_at_k([])


def test_scores_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score_interval([0.5, 2.0])
