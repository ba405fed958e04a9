"""Advantages and pairs within groups, KTO's mismatching, by hand."""

from collections import Counter

import pytest
import torch

from objectives import (
    group_centred,
    group_mean,
    group_normalised,
    leave_one_out,
    mismatch,
    pair_rollouts,
    plus_minus_one,
    reference_point,
)

# Groups 7, 3 and 9, interleaved; 9 is homogeneous, 5 a single row.
GROUP = torch.tensor([7, 3, 7, 9, 7, 9, 3, 7, 5])
REWARD = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0])


def test_group_mean():
    expected = [-0.5, 0, -0.5, 1, -0.5, 1, 0, -0.5, 1]
    assert group_mean(REWARD, GROUP).tolist() == expected


def test_group_centred():
    expected = [1.5, -1, -0.5, 0, -0.5, 0, 1, -0.5, 0]
    assert group_centred(REWARD, GROUP).tolist() == expected


def test_group_normalised():
    """Group 7: deviations 1.5, -.5, -.5, -.5, variance (2.25 + .75) / 4 = .75."""
    root = 0.75**0.5
    expected = [1.5 / root, -1, -0.5 / root, 0, -0.5 / root, 0, 1, -0.5 / root, 0]
    assert group_normalised(REWARD, GROUP).tolist() == pytest.approx(expected)


def test_leave_one_out():
    """Group 7: 1 - (-1) = 2, and -1 - (1 - 1 - 1) / 3 = -2/3."""
    expected = [2, -2, -2 / 3, 0, -2 / 3, 0, 2, -2 / 3, 0]
    assert leave_one_out(REWARD, GROUP).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [2, 3, 5, 7, 8, 16, 33, 64])
def test_a_group_of_equal_rewards_has_an_advantage_of_exactly_0(size, dtype):
    """Their mean rounds: that of eight times .7 is not .7 in float32."""
    generator = torch.Generator().manual_seed(size)
    odd = torch.rand(200, generator=generator, dtype=dtype) * 10.0 ** torch.randint(
        -6, 7, (200,), generator=generator
    )
    values = torch.cat([torch.tensor([0.7, 0.1, 1 / 3, -0.3, 1e-30, 1e30, 0.0]).to(dtype), odd])
    order = torch.randperm(len(values) * size, generator=generator)  # groups interleaved
    reward = values.repeat_interleave(size)[order]
    group = torch.arange(len(values)).repeat_interleave(size)[order]
    assert torch.equal(group_mean(reward, group), reward)
    for advantage in (group_centred, group_normalised, leave_one_out):
        assert not advantage(reward, group).any(), advantage


@pytest.mark.parametrize("advantage", [group_centred, group_normalised, leave_one_out])
def test_equal_groups_leave_the_others_as_they_are(advantage):
    others = torch.full((8,), 0.7)
    reward, group = torch.cat([REWARD, others]), torch.cat([GROUP, torch.full((8,), 4)])
    assert torch.equal(advantage(reward, group)[:9], advantage(REWARD, GROUP))


def test_plus_minus_one():
    assert plus_minus_one(torch.tensor([0.3, 0.0, -2.0])).tolist() == [1.0, -1.0, -1.0]


def test_pairs_cycle_the_smaller_side_of_each_mixed_group():
    pairs = pair_rollouts(REWARD, GROUP)
    assert sorted(pairs.tolist()) == [[0, 2], [0, 4], [0, 7], [6, 1]]


def test_every_row_of_a_mixed_group_is_used_about_equally():
    reward = torch.tensor([1.0] * 3 + [-1.0] * 5)
    pairs = pair_rollouts(reward, torch.zeros(8, dtype=torch.long))
    assert len(pairs) == 5
    assert sorted(Counter(pairs[:, 0].tolist()).values()) == [1, 2, 2]
    assert sorted(pairs[:, 1].tolist()) == [3, 4, 5, 6, 7]


def test_no_pairs_without_contrast():
    assert pair_rollouts(torch.ones(4), torch.zeros(4, dtype=torch.long)).shape == (0, 2)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"\(B,\)"):
        group_mean(REWARD, GROUP[:3])


@pytest.mark.parametrize("seed", range(5))
def test_mismatched_rows_never_keep_their_group(seed):
    group = torch.randint(4, (32,), generator=torch.Generator().manual_seed(seed)) * 10
    partner = mismatch(group)
    assert (group[partner] != group).all()
    assert sorted(partner.tolist()) == list(range(32))


def test_mismatching_refuses_a_batch_of_one_prompt():
    with pytest.raises(ValueError, match="more than half"):
        mismatch(torch.tensor([1, 1, 1, 2]))


def test_reference_point_is_clamped_and_detached():
    ratio = torch.tensor([1.0, 3.0], requires_grad=True)
    assert reference_point(ratio).item() == 2.0
    assert not reference_point(ratio).requires_grad
    assert reference_point(-ratio).item() == 0.0
    with pytest.raises(ValueError, match=r"\(N,\)"):
        reference_point(torch.zeros(0))


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_those_made_group_by_group(seed):
    generator = torch.Generator().manual_seed(seed)
    count = 60 * (seed > 0)
    group = torch.randint(3 * seed + 1, (count,), generator=generator) * 7
    reward = torch.randint(-1, 3, (count,), generator=generator).float()
    expected = []
    for own in sorted(set(group.tolist())):
        rows = [n for n in range(count) if group[n] == own]
        good, bad = [n for n in rows if reward[n] > 0], [n for n in rows if reward[n] <= 0]
        if good and bad:
            turns = range(max(len(good), len(bad)))
            expected += [[good[t % len(good)], bad[t % len(bad)]] for t in turns]
    assert pair_rollouts(reward, group).tolist() == expected
