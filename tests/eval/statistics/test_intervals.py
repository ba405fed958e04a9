"""Intervals of accuracies and differences, by hand."""

import math

import numpy as np
import pytest

from eval.statistics import paired_difference, score_interval


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


@pytest.mark.parametrize("value", [2.0, -0.1, float("nan"), float("inf"), None])
def test_what_is_no_score_is_refused_wherever_it_is(value):
    bad = np.zeros((2, 5))
    bad[1, 3] = value
    message = r"scores must lie in \[0, 1\]: that of problem 3 with seed 1 is"
    for call in (
        lambda: score_interval(bad),
        lambda: paired_difference(bad, np.zeros(5)),
        lambda: paired_difference(np.zeros((3, 5)), bad),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_seeds_add_their_doubt():
    """Accuracies .5 and .7: over seeds variance .02 / 2 and t of 1 degree, 12.706.

    Over problems the variance of their means, less chance in single answers: the mean square of
    what neither problem nor seed explains, with 1 x 9 degrees, of 20 answers.
    """
    scores = np.zeros((2, 10))
    scores[0, :5] = scores[1, :7] = 1
    rest = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    chance = (rest**2).sum() / (1 * 9) / 20
    alone = scores.mean(0).var() / 10 - chance
    half = math.hypot(12.706204736 * math.sqrt(0.02 / 2), 1.959963984540054 * math.sqrt(alone))
    q, p = half**2 / 0.24, 0.6
    low, high = (
        (p + q / 2 + sign * math.sqrt(q * p * (1 - p) + q * q / 4)) / (1 + q) for sign in (-1, 1)
    )
    assert score_interval(scores) == pytest.approx((0.6, low, high))


def test_a_difference_over_problems_alone_is_student_s():
    """Differences 1, 0, 0, 1: mean .5, standard error sqrt(1/3 / 4), t of 3 degrees 3.18245."""
    found = paired_difference(np.array([1, 0, 1, 1]), np.array([0, 0, 1, 0]))
    half = 3.182446305 * math.sqrt(1 / 12)
    assert found[:3] == pytest.approx((0.5, 0.5 - half, 1.0))  # cut at 1
    assert math.isnan(found.p_value)


def test_one_seed_on_either_side_gives_no_p():
    many, one = np.eye(3)[:, [0, 1, 2, 2]], np.array([1, 0, 0, 0])
    for a, b in ((one, many), (many, one), (one, one)):
        found = paired_difference(a, b)
        assert math.isnan(found.p_value)
        assert found.low < found.mean < found.high
    assert 0 < paired_difference(many, many).p_value <= 1


def test_seeds_that_all_answer_alike_are_welch_s_test_of_accuracies():
    """Each run has one score on all problems, next to nothing aside, so only seeds differ.

    Accuracies 1, .5 and 0, 0: means .75 and 0, variances .125 and 0, so 1 degree of freedom.
    """
    a = np.array([[1.0] * 4, [0.5] * 4]) - np.array([0, 1e-9, 2e-9, 3e-9])
    found = paired_difference(a, np.zeros((2, 4)))
    half = 12.706204736 * math.sqrt(0.125 / 2)
    assert found.low == pytest.approx(max(-1, 0.75 - half))
    # t = .75 / .25 = 3 with 1 degree: p = 1 - 2 atan(3) / π
    assert found.p_value == pytest.approx(1 - 2 * math.atan(3) / math.pi, abs=1e-6)


def test_p_is_the_level_at_which_the_interval_reaches_0():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 40)) * 0.8 + np.array([[0.0], [0.1], [0.2]]), rng.random((4, 40)) * 0.8
    found = paired_difference(a, b)
    edge = paired_difference(a, b, confidence=1 - found.p_value)
    assert pytest.approx(edge.low if found.mean > 0 else edge.high, abs=1e-7) == 0.0
    other = paired_difference(b, a)
    assert other == pytest.approx((-found.mean, -found.high, -found.low, found.p_value))


def test_pairs_of_problems_are_made_use_of():
    """The same .1 ahead on problems of every difficulty, but for one; unpaired it is nothing."""
    hard = np.linspace(0, 0.9, 50)
    ahead = hard + 0.1
    ahead[0] = 0.05
    found = paired_difference(ahead, hard)
    assert 0.09 < found.low < found.high < 0.11


def test_runs_that_never_differ_leave_doubt():
    """On 8 problems: as if one more were wholly ahead, one behind: variance 2 / (9 x 10)."""
    half = 2.364624251 * math.sqrt(2 / 90)
    alike = paired_difference(np.ones((2, 8)), np.ones((2, 8)))
    assert alike == pytest.approx((0, -half, half, 1))
    apart = paired_difference(np.ones((2, 8)), np.zeros((2, 8)))
    assert apart[:3] == pytest.approx((1, 1 - half, 1))
    assert 1e-5 < apart.p_value < 1e-3
    assert paired_difference(np.ones(1), np.zeros(1)).low < 0.0  # one problem


def test_an_interval_over_seeds_is_no_narrower_than_over_problems():
    """Two seeds that happen to agree are no evidence that seeds do not differ."""
    rng = np.random.default_rng(1)
    row, other = (rng.random((2, 100)) < 0.5).astype(float)
    alone = paired_difference(row, other)
    twice = paired_difference(np.stack([row, row[::-1]]), np.stack([other, other[::-1]]))
    assert twice.mean == pytest.approx(alone.mean)
    means = (row + row[::-1] - other - other[::-1]) / 2
    least = 1.984216952 * means.std(ddof=1) / 10  # t of 99 degrees
    assert twice.high - twice.mean >= least - 1e-9


def test_differences_are_of_the_same_problems():
    with pytest.raises(ValueError, match="3 and 2 problems"):
        paired_difference(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="seeds, problems"):
        paired_difference(np.zeros((1, 1, 1)), np.zeros(1))
