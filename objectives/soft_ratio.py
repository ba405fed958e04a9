"""Policy gradients whose importance ratio is a detached or smooth weight, not clipped hard."""

import math

import torch
from torch import Tensor

from objectives.batch import Batch, lengths, log_prob_mean, masked
from objectives.contract import per_trajectory
from objectives.domains import NonNegative, Positive
from objectives.future import future_policy

LOG_RATIO_LIMIT = 20.0  # of a token, and of a sequence upwards, as in the source's code
LOG_WEIGHT_LEAST = math.log(1e-8)


@per_trajectory("reward", "anchor")
def vespo(
    policy: Tensor,
    batch: Batch,
    *,
    k_positive: NonNegative = 2.0,
    lambda_positive: NonNegative = 3.0,
    k_negative: NonNegative = 3.0,
    lambda_negative: NonNegative = 2.0,
) -> Tensor:
    """Weigh a trajectory by a smooth hump of its whole importance ratio (arXiv 2602.10693).

    policy: (B, T) token log-probs; batch.reward: the advantage A; batch.anchor: log-probs under the
    policy that sampled the completions.
    k_positive: power of the ratio where the advantage is not below 0.
    lambda_positive: decay of the weight in the ratio there.
    k_negative: power of the ratio where the advantage is below 0.
    lambda_negative: decay of the weight in the ratio there.
    Loss (B,), with W the whole sequence's ratio, its logarithm held in [log 1e-8, 20] and that of
    the weight below 20: `-sg(W^k exp(λ (1 - W))) A m`. It is topr made smooth and two-sided: like
    FPA's, the push down fades as the trajectory grows improbable, by its ratio to the past instead
    of its probability. The mean over tokens is assumed by us: TRL divides by those of the batch.
    """
    limit = LOG_RATIO_LIMIT
    log_ratio = masked((policy - batch.anchor).clamp(-limit, limit), batch.mask).sum(-1)
    log_ratio = log_ratio.clamp(LOG_WEIGHT_LEAST, limit).detach()
    rises = batch.reward >= 0
    positive = k_positive * log_ratio + lambda_positive * (1 - log_ratio.exp())
    negative = k_negative * log_ratio + lambda_negative * (1 - log_ratio.exp())
    weight = torch.where(rises, positive, negative).clamp(max=limit).exp()
    return -weight * batch.reward * log_prob_mean(policy, batch.mask)


fpa_vespo = future_policy(vespo)


@per_trajectory("reward", "anchor")
def cispo(policy: Tensor, batch: Batch, *, clip_high: Positive = 5.0) -> Tensor:
    """REINFORCE weighed by a detached ratio that is clipped above alone (arXiv 2506.13585).

    policy: (B, T) token log-probs; batch.reward: the advantage A; batch.anchor: log-probs under the
    policy that sampled the completions.
    clip_high: the largest weight of a token (default of arXiv 2510.13786).
    Loss (B,): `-A mean_t sg(min(ρ_t, clip_high)) log π_θ(y_t)`. No token's gradient is cut off;
    what pushes down fades with ρ_t, where FPA's fades with the probability ahead.
    """
    limit = LOG_RATIO_LIMIT
    ratio = (policy - batch.anchor).clamp(-limit, limit).exp().clamp(max=clip_high).detach()
    return -batch.reward * masked(ratio * policy, batch.mask).sum(-1) / lengths(batch.mask)


fpa_cispo = future_policy(cispo)


@per_trajectory("reward", "anchor")
def sapo(
    policy: Tensor,
    batch: Batch,
    *,
    temperature_positive: Positive = 1.0,
    temperature_negative: Positive = 1.05,
) -> Tensor:
    """Gate each token's ratio by a sigmoid instead of clipping it (arXiv 2511.20347).

    policy: (B, T) token log-probs; batch.reward: the advantage A; batch.anchor: log-probs under the
    policy that sampled the completions.
    temperature_positive: τ, how abruptly the gate closes, where the advantage is above 0.
    temperature_negative: the same for the others.
    Loss (B,): `-A mean_t 4 σ(τ (ρ_t - 1)) / τ`. Its push is greatest where the policy has not moved
    and fades on both sides; FPA's fades with the probability ahead.
    """
    limit = LOG_RATIO_LIMIT
    ratio = (policy - batch.anchor).clamp(-limit, limit).exp()
    positive, negative = (
        masked(4 * (temperature * (ratio - 1)).sigmoid() / temperature, batch.mask).sum(-1)
        for temperature in (temperature_positive, temperature_negative)
    )
    gate = torch.where(batch.reward > 0, positive, negative)
    return -batch.reward * gate / lengths(batch.mask)


fpa_sapo = future_policy(sapo)
