"""KTO: learning from trajectories that are each good or bad, without pairs."""

import torch
from torch import Tensor

from objectives.batch import Batch, log_ratio_sum
from objectives.contract import per_trajectory
from objectives.domains import NonNegative, Positive
from objectives.future import future_policy


@per_trajectory("reward", "reference", "divergence")
def kto(
    policy: Tensor,
    batch: Batch,
    *,
    beta: Positive = 0.1,
    desirable_weight: NonNegative = 1.0,
    undesirable_weight: NonNegative = 1.0,
) -> Tensor:
    """Prospect-theoretic utility of each trajectory against a reference point (arXiv 2402.01306).

    policy: (B, T) token log-probs; batch.divergence: z0 of `reference_point`, repeated.
    beta: how soon the utility saturates away from the reference point.
    desirable_weight: λ_D, weight of the n₊ correct trajectories.
    undesirable_weight: λ_U, weight of the n₋ others; λ_D n₊ : λ_U n₋ is to lie in [1, 4/3].
    Loss (B,): `λ_D (1 - σ(β (d - z0)))` where r > 0, else `λ_U (1 - σ(β (z0 - d)))`.
    """
    gain = beta * (log_ratio_sum(policy, batch) - batch.divergence.detach())
    return torch.where(
        batch.reward > 0,
        desirable_weight * (-gain).sigmoid(),
        undesirable_weight * gain.sigmoid(),
    )


fpa_kto = future_policy(kto)


def reference_point(mismatched_ratio: Tensor) -> Tensor:
    """Return KTO's z0 = max(0, mean d(x_i, y_j)), detached, (N,) -> () (arXiv 2402.01306).

    mismatched_ratio: (N,) log-ratios `d` of completions y_j after prompts x_i that are not theirs,
    over the whole optimizer batch and all ranks.
    """
    if mismatched_ratio.dim() != 1 or not len(mismatched_ratio):
        raise ValueError(f"expected (N,) log-ratios, got {tuple(mismatched_ratio.shape)}")
    return mismatched_ratio.detach().mean().clamp(min=0)


def mismatch(group: Tensor) -> Tensor:
    """Return for each row the index of a row of another prompt, (B,) -> (B,) (arXiv 2402.01306).

    Rows are ordered by group and shifted by the size of the largest, so that none keeps its own.
    Raises ValueError where one prompt has more than half of the rows: no such shift exists.
    """
    order = torch.argsort(group, stable=True)
    shift = int(torch.unique(group, return_counts=True)[1].max())
    partner = torch.empty_like(order)
    partner[order] = order.roll(-shift)
    if bool((group[partner] == group).any()):
        raise ValueError(
            "KTO's reference point pairs each prompt with another prompt's completion, but one "
            "prompt has more than half of the batch: use a larger batch of more prompts"
        )
    return partner
