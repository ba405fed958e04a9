"""Objectives that raise or lower a trajectory's own likelihood, one trajectory at a time."""

from typing import Literal

import torch
from torch import Tensor

from objectives.batch import Batch, lengths, log_prob_mean
from objectives.contract import per_trajectory
from objectives.domains import NonNegative, Positive
from objectives.future import future_policy

Granularity = Literal["trajectory", "token"]


@per_trajectory("reward")
def sft(policy: Tensor, batch: Batch) -> Tensor:
    """Maximise the likelihood of correct trajectories alone (rejection-sampled fine-tuning).

    policy: (B, T) token log-probs. Loss (B,): `-m` where the reward is positive, else 0.
    """
    return torch.where(batch.reward > 0, -log_prob_mean(policy, batch.mask), 0.0)


@per_trajectory("reward")
def dft(policy: Tensor, batch: Batch) -> Tensor:
    """Fine-tune on correct trajectories, each token weighed by its probability (arXiv 2508.05629).

    policy: (B, T) token log-probs. Loss (B,): `-mean_t sg(π_θ(y_t)) log π_θ(y_t)` where the reward
    is positive, else 0. Its gradient is that of offline_rl by token on correct trajectories alone,
    so that its future-policy form looks ahead for these only.
    """
    tokens = torch.where(batch.mask, policy.detach().exp() * policy, 0.0)
    return torch.where(batch.reward > 0, -tokens.sum(-1) / lengths(batch.mask), 0.0)


fpa_dft = future_policy(dft)


def weighted_reward(batch: Batch, positive_weight: float, negative_weight: float) -> Tensor:
    """Return the rewards times the weight of their side, (B,); above 0 is the positive side."""
    reward = batch.reward
    return torch.where(reward > 0, positive_weight * reward, negative_weight * reward)


@per_trajectory("reward")
def reinforce(
    policy: Tensor,
    batch: Batch,
    *,
    positive_weight: NonNegative = 1.0,
    negative_weight: NonNegative = 1.0,
) -> Tensor:
    """Weigh each trajectory's mean log-prob by its reward, off-policy (arXiv 2503.14286).

    policy: (B, T) token log-probs.
    positive_weight: factor of the reward where it is above 0.
    negative_weight: factor of the other rewards.
    Loss (B,): `-w r m`. Unbounded below where r < 0: it collapses. Weights of .1 and 1 are
    w_reinforce, 0 and 1 nsr, 1 and 0 psr (arXiv 2506.01347).
    """
    reward = weighted_reward(batch, positive_weight, negative_weight)
    return -reward * log_prob_mean(policy, batch.mask)


@per_trajectory("reward")
def offline_rl(
    policy: Tensor,
    batch: Batch,
    *,
    granularity: Granularity = "trajectory",
    positive_weight: NonNegative = 1.0,
    negative_weight: NonNegative = 1.0,
) -> Tensor:
    """Weigh each trajectory's mean token probability by its reward (arXiv 2509.19893).

    policy: (B, T) token log-probs.
    granularity: mean p̄ of the token probabilities: geometric (trajectory) or arithmetic (token).
    positive_weight: factor of the reward where it is above 0.
    negative_weight: factor of the other rewards.
    Loss (B,): `-w r p̄`, whose gradient is `-w r p̄ ∇m` by trajectory. The geometric mean is assumed
    by us; 2502.00883 has the same normalisation.
    """
    reward = weighted_reward(batch, positive_weight, negative_weight)
    return -reward * mean_probability(policy, batch.mask, granularity)


fpa = future_policy(offline_rl, name="fpa")


@per_trajectory("reward", "reference")
def topr(policy: Tensor, batch: Batch) -> Tensor:
    """Taper what pushes incorrect trajectories down by their clipped ratio (arXiv 2503.14286).

    policy: (B, T) token log-probs. Loss (B,): `-r m` where r > 0, and with the ratio taken per
    token, `-r sg(clip(exp(m - m0), 0, 1)) m` where r < 0.
    """
    mean = log_prob_mean(policy, batch.mask)
    ratio = (mean - log_prob_mean(batch.reference, batch.mask)).detach().clamp(max=0).exp()
    return -batch.reward * torch.where(batch.reward > 0, 1.0, ratio) * mean


fpa_topr = future_policy(topr)


@per_trajectory("reward")
def awr(
    policy: Tensor, batch: Batch, *, beta: Positive = 1.0, max_weight: Positive = 20.0
) -> Tensor:
    """Regress onto every trajectory with a weight exponential in its advantage (arXiv 1910.00177).

    policy: (B, T) token log-probs; batch.reward: the advantage r - V, V the mean of the group.
    beta: temperature of the weights, in units of reward.
    max_weight: largest weight; what is above is clipped to it.
    Loss (B,): `-min(exp((r - V) / beta), max_weight) m`.
    """
    weight = (batch.reward / beta).exp().clamp(max=max_weight)
    return -weight * log_prob_mean(policy, batch.mask)


def mean_probability(log_probs: Tensor, mask: Tensor, granularity: Granularity) -> Tensor:
    """Return a row's mean token probability, (B, T) -> (B,): geometric, or arithmetic by token."""
    if granularity == "trajectory":
        return log_prob_mean(log_probs, mask).exp()
    if granularity == "token":
        return torch.where(mask, log_probs.exp(), 0.0).sum(-1) / lengths(mask)
    raise ValueError(f"granularity must be 'trajectory' or 'token', got {granularity!r}")
