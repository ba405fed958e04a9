"""The mean reward of a benchmark: its interval, and where there is pass@k and where not."""

import pytest

from eval.reward_scores import reward_score, reward_table
from eval.statistics import score_interval
from objectives.errors import InputError


def rows(rewards):
    return [
        {"index": index, "sample": sample, "reward": reward, "tokens": 2, "seconds": 0.5,
         "truncated": sample == 0}
        for index, own in enumerate(rewards) for sample, reward in enumerate(own)
    ]  # fmt: skip


def test_graded_rewards_have_a_mean_with_students_interval_and_no_pass_at_k():
    found = reward_score("mine", rows([[-2.0, 0.0], [1.0, 4.0], [12.5, 7.5]]))
    # Means -1, 2.5 and 10: mean 3.8333, deviation 5.6199, t of 2 degrees 4.30265.
    assert found.mean_reward == pytest.approx(23 / 6)
    assert (found.low, found.high) == pytest.approx((-10.1270, 17.7937), abs=1e-3)
    assert (found.least, found.most, found.pass_at_k) == (-2.0, 12.5, None)
    assert (found.problems, found.samples, found.tokens, found.truncated) == (3, 2, 12, 0.5)
    table = reward_table([found])
    assert "3.833 [-10.127, 17.794]" in table
    assert table.endswith("\nno pass@k and no maj@k of mine: its rewards are not all 0 or 1")


def test_rewards_of_0_and_1_are_shares():
    found = reward_score("mine", rows([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    assert found.pass_at_k == 0.5
    expected = score_interval([0.5, 0, 1, 0])
    assert (found.mean_reward, found.low, found.high) == pytest.approx(expected)
    assert "no pass@k" not in reward_table([found])


def test_rewards_that_are_all_alike_have_no_interval():
    found = reward_score("mine", rows([[0.5], [0.5]]))
    assert (found.mean_reward, found.low, found.high) == (0.5, None, None)
    assert reward_table([found]).splitlines()[1].split()[:5] == ["mine", "2", "1", "0.500", "0.500"]


@pytest.mark.parametrize("reward", [None, True, "1", float("nan")])
def test_a_row_without_a_reward_is_named(reward):
    with pytest.raises(InputError, match="mine: completion 0 of problem 1 has no reward"):
        reward_score("mine", [*rows([[0.5]]), {"index": 1, "sample": 0, "reward": reward}])


def test_an_unfinished_problem_is_named():
    with pytest.raises(InputError, match="problem 1 has 1 completions where others have 2"):
        reward_score("mine", rows([[0.5, 1.0], [0.5]]))
