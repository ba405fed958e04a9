"""GRPO: the clipped policy gradient of online reinforcement learning with verifiable rewards."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from objectives.batch import Batch, lengths
from objectives.contract import per_trajectory
from objectives.domains import Domain, Positive
from objectives.future import future_policy

Aggregate = Literal["sequence", "token", "constant"]
Length = Annotated[int, Domain(least=1)]
LOG_RATIO_LIMIT = 20.0  # keeps exp and its gradient finite; far outside every sensible clip


@per_trajectory("reward", "anchor")
def grpo(
    policy: Tensor,
    batch: Batch,
    *,
    clip: Positive = 0.2,
    clip_high: Positive | None = None,
    aggregate: Aggregate = "sequence",
    constant_length: Length | None = None,
) -> Tensor:
    """Clipped importance ratio times a group-normalised advantage (arXiv 2402.03300).

    policy: (B, T) token log-probs; batch.reward: the advantage; batch.anchor: log-probs under the
    policy that sampled the completions; batch.mean_length: by default the mean of this batch.
    clip: how far the ratio may leave 1 before it is clipped.
    clip_high: how far it may rise above 1, where that differs from clip (DAPO).
    aggregate: what a row's sum over tokens is divided by: its own length (sequence), the mean
    length of the optimizer batch (token: every token counts alike, DAPO), or constant_length
    (constant: Dr.GRPO, arXiv 2503.20783).
    constant_length: the divisor where aggregate is constant.
    Loss (B,): `-Σ_t min(ρ_t A, clip(ρ_t) A) / length`, ρ_t clipped to [1 - clip, 1 + clip_high].
    """
    token_loss = clipped_losses(policy, batch, clip, clip_high)
    return aggregated(token_loss, batch, aggregate, constant_length)


fpa_grpo = future_policy(grpo)


def clipped_losses(policy: Tensor, batch: Batch, clip: float, clip_high: float | None) -> Tensor:
    """Return `-min(ρ_t A, clip(ρ_t) A)` of each token, (B, T) -> (B, T)."""
    limit = LOG_RATIO_LIMIT
    ratio = (policy - batch.anchor).clamp(-limit, limit).exp()
    clipped = ratio.clamp(1 - clip, 1 + (clip if clip_high is None else clip_high))
    advantage = batch.reward[:, None]
    return -torch.minimum(ratio * advantage, clipped * advantage)


def aggregated(
    token_loss: Tensor, batch: Batch, aggregate: Aggregate, constant_length: int | None
) -> Tensor:
    """Return each row's sum over tokens by the length that `aggregate` names, (B, T) -> (B,)."""
    total = torch.where(batch.mask, token_loss, 0.0).sum(-1)
    return total / _length(batch, aggregate, constant_length)


def _length(batch: Batch, aggregate: Aggregate, constant_length: int | None) -> Tensor | float:
    if aggregate == "sequence":
        return lengths(batch.mask)
    if aggregate == "token":
        mean = batch.mean_length
        return batch.mask.sum(-1).float().mean().clamp(min=1) if mean is None else mean
    if aggregate == "constant":
        if constant_length is None:
            raise ValueError("grpo: aggregate 'constant' divides by constant_length: give it")
        return float(constant_length)
    raise ValueError(f"aggregate must be 'sequence', 'token' or 'constant', got {aggregate!r}")
