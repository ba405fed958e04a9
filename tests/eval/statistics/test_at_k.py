"""avg@k, pass@k and maj@k against closed forms and by enumeration of every case."""

import itertools

import numpy as np
import pytest

from eval.statistics import average_at_k, majority_at_k, pass_at_k


def test_average_at_k():
    assert average_at_k([[1, 0], [1, 1]]).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="problems x samples"):
        average_at_k([])


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


@pytest.mark.parametrize("missing", [float("nan"), None])
def test_a_verdict_that_is_none_is_named(missing):
    for measure in (average_at_k, lambda table: pass_at_k(table, 1)):
        with pytest.raises(ValueError, match="sample 1 of problem 2 is no number"):
            measure([[1, 0], [0, 0], [1, missing]])
