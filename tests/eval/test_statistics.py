"""Statistics against closed forms, by enumeration of every case, and by simulation."""

import itertools
import math

import numpy as np
import pytest

from eval.statistics import (
    average_at_k,
    holm,
    majority_at_k,
    paired_bootstrap,
    pass_at_k,
    score_interval,
)


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


def test_seeds_add_their_variance():
    """Accuracies .5 and .7: their mean's variance is .02/2, and that over problems is added."""
    scores = np.zeros((2, 10))
    scores[0, :5] = scores[1, :7] = 1
    variance = scores.mean(0).var() / 10 + 0.02 / 2
    problems, z = 0.6 * 0.4 / variance, 1.959963984540054
    root = z * math.sqrt(0.24 / problems + z * z / (4 * problems**2))
    low, high = (
        (0.6 + z * z / (2 * problems) + s * root) / (1 + z * z / problems) for s in (-1, 1)
    )
    assert score_interval(scores) == pytest.approx((0.6, low, high))


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_one(samples):
    table = np.array(list(itertools.product([0, 1], repeat=samples)))
    for k in range(1, samples + 1):
        expected = [
            np.mean([max(chosen) for chosen in itertools.combinations(row, k)]) for row in table
        ]
        assert pass_at_k(table, k) == pytest.approx(expected)


def test_pass_at_k_of_many_samples():
    """One correct of 10,000: the chance that 5,000 hold it is a half. C(10000, 5000) overflows."""
    table = np.zeros((2, 10_000))
    table[0, 0], table[1] = 1, 1
    assert pass_at_k(table, 5000) == pytest.approx([0.5, 1])


@pytest.mark.parametrize("k", [0, 3])
def test_k_must_be_within_the_samples(k):
    with pytest.raises(ValueError, match="a problem has 2 samples"):
        pass_at_k([[1, 0]], k)
    with pytest.raises(ValueError, match="a problem has 2 samples"):
        majority_at_k([["1", "2"]], [[1, 0]], k)


def test_verdicts_are_right_or_wrong():
    with pytest.raises(ValueError, match="verdicts must be 0 or 1"):
        pass_at_k([[0.5, 1]], 1)


MAJORITIES = [
    (["7", "7", "8"], [1, 1, 0], 1),  # the most frequent answer
    (["8", "8", "7"], [0, 0, 1], 0),
    (["7", "8", "9"], [1, 0, 0], 1 / 3),  # ties
    (["7", None, None], [1, 0, 0], 1),  # no answer is no vote
    ([None, None, None], [0, 0, 0], 0),
    (["7", "7.0", "8"], [1, 1, 0], 2 / 3),  # other text, another answer
]


def test_majority_of_all_samples():
    answers, correct, expected = zip(*MAJORITIES, strict=True)
    assert majority_at_k(answers, correct, 3) == pytest.approx(expected)


def test_majority_of_the_first_samples():
    answers, correct, _ = zip(*MAJORITIES, strict=True)
    assert majority_at_k(answers, correct, 1).tolist() == [1, 0, 1, 1, 0, 1]
    assert majority_at_k(answers, correct, 2).tolist() == [1, 0, 0.5, 1, 0, 1]


def test_answers_and_verdicts_are_of_one_shape():
    for answers in ([["7"]], [["7", "8"], ["7", "8"]]):
        with pytest.raises(ValueError, match="not of the shape"):
            majority_at_k(answers, [[1, 0]], 1)


def test_bootstrap_of_one_problem_in_two_by_hand():
    """Differences 1 and 0: of four equally likely resamples one has mean 0, two 1/2, one 1."""
    found = paired_bootstrap(np.array([1, 1]), np.array([0, 1]), confidence=0.4, resamples=20_000)
    assert found[:3] == pytest.approx((0.5, 0.5, 0.5))  # between the 30 % and the 70 % percentile
    assert found.p_value == pytest.approx(2 * 1 / 4, abs=0.02)
    assert paired_bootstrap(np.array([1, 1]), np.array([0, 1]))[1:3] == (0, 1)


def test_bootstrap_pairs_the_problems():
    """The same .1 ahead on problems of every difficulty leaves no doubt; unpaired it would."""
    hard = np.linspace(0, 0.9, 50)
    ahead = paired_bootstrap(hard + 0.1, hard, resamples=999)
    assert ahead == pytest.approx((0.1, 0.1, 0.1, 2 / 1000))
    assert paired_bootstrap(hard, hard, resamples=999) == (0, 0, 0, 1)


def test_bootstrap_is_anti_symmetric_in_sign_and_repeats_with_its_seed():
    a, b = np.random.default_rng(0).random((2, 3, 40))
    one, other, again = paired_bootstrap(a, b), paired_bootstrap(b, a), paired_bootstrap(a, b)
    assert one == again
    assert one.mean == pytest.approx(a.mean() - b.mean())
    assert other.mean == -one.mean
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=0.01)
    assert paired_bootstrap(a, b, seed=1) != one


def test_bootstrap_spreads_as_the_closed_form_says():
    """Variance: of the seeds' mean difference over problems, and of accuracies over seeds."""
    rng = np.random.default_rng(0)
    a, b = rng.random((8, 200)) + np.linspace(0, 0.3, 8)[:, None], rng.random((6, 200))
    variance = (a.mean(0) - b.mean(0)).var() / 200
    variance += a.mean(1).var(ddof=1) / 8 + b.mean(1).var(ddof=1) / 6
    found = paired_bootstrap(a, b, confidence=0.6827, resamples=40_000)
    assert (found.high - found.low) / 2 == pytest.approx(math.sqrt(variance), rel=0.025)


def test_bootstrap_in_blocks_is_one_over_all_resamples(monkeypatch):
    scores = np.random.default_rng(0).random((2, 100))
    whole = paired_bootstrap(*scores, resamples=999)
    monkeypatch.setattr("eval.statistics.MOST_AT_ONCE", 1000)
    assert paired_bootstrap(*scores, resamples=999) == whole


@pytest.mark.parametrize(
    ("seeds", "between", "least"), [(1, 0.0, 0.92), (3, 0.0, 0.95), (5, 0.5, 0.88)]
)
def test_bootstrap_covers_what_it_says(seeds, between, least):
    """Right or wrong with a chance of the problem's and the seed's; no difference in truth."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        problems = rng.normal(0, 1.5, 100)
        chance = 1 / (1 + np.exp(-problems - rng.normal(0, between, (2, seeds, 1))))
        a, b = (rng.random(chance.shape) < chance).astype(float)
        found = paired_bootstrap(a, b, resamples=500)
        inside.append(found.low <= 0 <= found.high)
        assert (found.p_value > 0.06) <= inside[-1]
    assert np.mean(inside) >= least
    if seeds == 1:
        assert np.mean(inside) <= 0.975


def test_bootstrap_needs_the_same_problems():
    with pytest.raises(ValueError, match="3 and 2 problems"):
        paired_bootstrap(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="seeds, problems"):
        paired_bootstrap(np.zeros((1, 1, 1)), np.zeros(1))


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
