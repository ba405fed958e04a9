"""Objectives that regress a trajectory's log-ratio onto the advantage of the best policy.

The target is finite, so the push ends when it is met: without pairs, and without looking ahead.
"""

import torch
from torch import Tensor

from objectives.batch import Batch, log_ratio_sum
from objectives.contract import per_trajectory
from objectives.domains import Positive
from objectives.future import future_policy


def optimal_value(solve_rate: Tensor, beta: float) -> Tensor:
    """Return `V* = β log mean exp(r / β)` of rewards 0 and 1, (B,) -> (B,) (arXiv 2505.20686).

    solve_rate: (B,) the share of the prompt's trajectories whose reward is 1. beta: above 0.
    """
    of_others = (1 - solve_rate).log() - 1 / beta  # -inf where all are correct
    return 1 + beta * torch.logaddexp(solve_rate.log(), of_others)


@per_trajectory("reward", "reference", "solve_rate")
def a_star_po(
    policy: Tensor, batch: Batch, *, beta: Positive = 1e-3, value_beta: Positive = 0.5
) -> Tensor:
    """Regress the log-ratio onto the optimal advantage r - V*: A*-PO (arXiv 2505.20686).

    policy: (B, T) token log-probs; batch.solve_rate: the share of the prompt's trajectories that
    are correct, of all there are, not of the batch.
    beta: strength of the pull to the reference.
    value_beta: temperature of V*, the value of the best policy.
    Loss (B,): `(β d - (r - V*))²`, r being 1 where the reward is above 0 and else 0, and
    `V* = β_v log mean exp(r / β_v)`. It limits itself at `d = (r - V*) / β`, where FPA eases off as
    the trajectory grows improbable. The source samples anew; here it is trained on the data.
    """
    correct = (batch.reward > 0).to(policy.dtype)
    target = correct - optimal_value(batch.solve_rate, value_beta)
    return (beta * log_ratio_sum(policy, batch) - target).square()


fpa_a_star_po = future_policy(a_star_po)


@per_trajectory("reward", "reference", "solve_rate")
def oapl(policy: Tensor, batch: Batch, *, beta: Positive = 1.0) -> Tensor:
    """Regress the log-ratio onto the optimal advantage at one temperature (arXiv 2602.19362).

    policy: (B, T) token log-probs; batch.solve_rate: the share of the prompt's trajectories that
    are correct, of all there are, not of the batch.
    beta: strength of the pull to the reference, and temperature of V* (default assumed by us).
    Loss (B,): a_star_po's with value_beta = beta, so that its minimum is the best policy there is
    at that pull. As there, FPA's easing off is in the target. The source's reference is the policy
    that sampled, renewed now and then; here it stays.
    """
    correct = (batch.reward > 0).to(policy.dtype)
    target = correct - optimal_value(batch.solve_rate, beta)
    return (beta * log_ratio_sum(policy, batch) - target).square()


fpa_oapl = future_policy(oapl)
