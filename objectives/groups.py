"""From graded rollouts to what objectives read: advantages within a prompt's group, and pairs."""

import torch
from torch import Tensor


def plus_minus_one(reward: Tensor) -> Tensor:
    """Return +1 where the reward is positive, else -1, (B,) -> (B,)."""
    return torch.where(reward > 0, 1.0, -1.0)


def group_mean(reward: Tensor, group: Tensor) -> Tensor:
    """Return the mean reward of each row's group, (B,), (B,) -> (B,).

    That of equal rewards is that reward to the last bit, so that what is centred is exactly 0.
    """
    index, size = _groups(reward, group)
    sums = torch.zeros_like(size)
    mean = (sums.index_add(0, index, reward) / size)[index]
    least, most = (
        sums.scatter_reduce(0, index, reward, side, include_self=False)[index]
        for side in ("amin", "amax")
    )
    return torch.where(least == most, reward, mean)


def solve_rate(reward: Tensor, group: Tensor) -> Tensor:
    """Return the share of each row's group whose reward is above 0, (B,), (B,) -> (B,)."""
    return group_mean((reward > 0).to(reward.dtype), group)


def group_centred(reward: Tensor, group: Tensor) -> Tensor:
    """Return r minus its group's mean, (B,), (B,) -> (B,) (Dr.GRPO, arXiv 2503.20783)."""
    return reward - group_mean(reward, group)


def group_normalised(reward: Tensor, group: Tensor) -> Tensor:
    """Return (r - mean) / std of each group, (B,), (B,) -> (B,) (GRPO, arXiv 2402.03300).

    The standard deviation is the population's; a group of equal rewards gives 0.
    """
    centred = group_centred(reward, group)
    deviation = group_mean(centred.square(), group).sqrt()
    return torch.where(deviation > 0, centred / deviation.where(deviation > 0, 1.0), 0.0)


def leave_one_out(reward: Tensor, group: Tensor) -> Tensor:
    """Return r minus the mean of the others in its group, (B,), (B,) -> (B,) (arXiv 2402.14740).

    A group of one gives 0.
    """
    index, size = _groups(reward, group)
    return group_centred(reward, group) * (size / (size - 1).clamp(min=1))[index]


def _groups(reward: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    if reward.dim() != 1 or group.shape != reward.shape:
        raise ValueError(
            f"reward and group must be (B,), got {tuple(reward.shape)} and {tuple(group.shape)}"
        )
    _, index, size = torch.unique(group, return_inverse=True, return_counts=True)
    return index, size.to(reward.dtype)


ADVANTAGES = {
    "plus_minus_one": lambda reward, group: plus_minus_one(reward),
    "group_normalised": group_normalised,
    "group_centred": group_centred,
    "leave_one_out": leave_one_out,
}


def pair_rollouts(reward: Tensor, group: Tensor) -> Tensor:
    """Pair correct with incorrect rollouts of the same prompt, (B,), (B,) -> (P, 2).

    Within a group, max(#correct, #incorrect) pairs, the smaller side repeated in turn; correct
    means a positive reward. A group with one side only gives none. Columns: chosen, rejected.
    """
    index, _ = _groups(reward, group)
    count = int(index.max()) + 1 if len(index) else 0
    sides = [side.nonzero().flatten() for side in (reward > 0, reward <= 0)]
    sides = [rows[index[rows].argsort(stable=True)] for rows in sides]  # group by group
    sizes = [index[rows].bincount(minlength=count) for rows in sides]
    mixed = (sizes[0] > 0) & (sizes[1] > 0)
    pairs = torch.where(mixed, torch.maximum(*sizes), 0)  # of each group
    of = torch.arange(count, device=group.device).repeat_interleave(pairs)  # the group of each pair
    turn = torch.arange(len(of), device=group.device) - (pairs.cumsum(0) - pairs)[of]
    starts = [size.cumsum(0) - size for size in sizes]
    columns = [
        rows[start[of] + turn % size[of]]
        for rows, start, size in zip(sides, starts, sizes, strict=True)
    ]
    return torch.stack(columns, 1)
