"""Objectives whose push down is a constant other than their push up.

Their c_l / c_w does not depend on the policy: where FPA lets the push down fade, these fix it.
"""

from typing import Annotated

from torch import Tensor

from objectives.batch import Batch, log_prob_mean
from objectives.contract import per_pair, per_trajectory
from objectives.domains import Domain, NonNegative
from objectives.likelihood import weighted_reward

Finite = Annotated[float, Domain()]


@per_pair()
def redi(policy: Tensor, batch: Batch, *, alpha: NonNegative = 0.8) -> Tensor:
    """Raise the chosen's mean log-prob and lower the rejected's by less (arXiv 2505.24850).

    policy: (B, T) token log-probs.
    alpha: weight of the rejected trajectory; 1 is symmetric, which the source saw collapse.
    Loss (P,): `-m_w + α m_l`, so that c_l / c_w is α times n_w / n_l all along: the plainest way to
    stay inside the window. FPA's falls as the rejected one grows improbable.
    """
    mean = log_prob_mean(policy, batch.mask)
    return -mean[batch.pairs[:, 0]] + alpha * mean[batch.pairs[:, 1]]


@per_trajectory("reward")
def asymre(policy: Tensor, batch: Batch, *, delta: Finite = -0.1) -> Tensor:
    """REINFORCE with a baseline below the mean of the prompt's rewards (arXiv 2506.20520).

    policy: (B, T) token log-probs; batch.reward: the reward minus the mean of the prompt's.
    delta: how far the baseline is from that mean, in units of reward; below 0 it pushes up more
    than it pushes down (default assumed by us).
    Loss (B,): `-(r - V) m` with `V = mean_group r + δ`. It damps what pushes down everywhere alike;
    FPA damps it where the policy has moved. Unbounded below where r < V.
    """
    return -(batch.reward - delta) * log_prob_mean(policy, batch.mask)


@per_trajectory("reward")
def w_reinforce(
    policy: Tensor,
    batch: Batch,
    *,
    positive_weight: NonNegative = 0.1,
    negative_weight: NonNegative = 1.0,
) -> Tensor:
    """REINFORCE whose push up is damped: W-REINFORCE (arXiv 2506.01347).

    policy: (B, T) token log-probs.
    positive_weight: factor of the reward where it is above 0.
    negative_weight: factor of the other rewards.
    Loss (B,): `-w r m`: reinforce with other defaults. The opposite of FPA's advice: the source
    damps the positives, online, to keep the policy's diversity.
    """
    reward = weighted_reward(batch, positive_weight, negative_weight)
    return -reward * log_prob_mean(policy, batch.mask)


@per_trajectory("reward")
def nsr(policy: Tensor, batch: Batch) -> Tensor:
    """Negative sample reinforcement: lower incorrect trajectories alone (arXiv 2506.01347).

    policy: (B, T) token log-probs. Loss (B,): `-r m` where r <= 0, else 0: reinforce with a
    positive_weight of 0. Nothing holds correct trajectories up: where FPA eases the push down off,
    here it is all there is. Unbounded below.
    """
    return -weighted_reward(batch, 0.0, 1.0) * log_prob_mean(policy, batch.mask)


@per_trajectory("reward")
def psr(policy: Tensor, batch: Batch) -> Tensor:
    """Positive sample reinforcement: raise correct trajectories alone (arXiv 2506.01347).

    policy: (B, T) token log-probs. Loss (B,): `-r m` where r > 0, else 0: reinforce with a
    negative_weight of 0. It is sft on batches that incorrect trajectories are part of, with no push
    down for FPA to look ahead for.
    """
    return -weighted_reward(batch, 1.0, 0.0) * log_prob_mean(policy, batch.mask)
