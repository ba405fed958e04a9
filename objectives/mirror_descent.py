"""Mirror descent with the negative entropy as mirror map, plain and optimistic.

`omd` is the training objective; the rest is the exact family for tabular softmax policies, whose
dual variables are their logits (arXiv 1208.3728, 1311.1869).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from objectives.batch import Batch, lengths, log_prob_mean
from objectives.contract import per_trajectory
from objectives.domains import Positive
from objectives.future import future_policy


@per_trajectory("reward", "anchor", "previous_anchor")
def omd(policy: Tensor, batch: Batch, *, eta: Positive = 1.0, optimistic: bool = True) -> Tensor:
    """One outer step of Optimistic Mirror Descent as a loss (arXiv 1311.1869, 2502.16852).

    policy: (B, T) token log-probs; batch.anchor, batch.previous_anchor: the same under π_t and
    π_{t-1}, the policies at which the last two outer steps began.
    eta: step size; the larger, the further from the anchor.
    optimistic: predict the next reward by the last; false gives plain mirror descent.
    Loss (B,), with `c_t = r p̄_{π_t}`: `-(2 c_t - c_{t-1}) m + mean_t (log π_θ - log π_t)² / (2η)`,
    the last term the k2 estimate of KL(π_θ || π_t) on the data's tokens. The form of the loss is
    assumed by us; the paper gives Optimistic Mirror Descent as intuition only.
    """
    now = batch.reward * log_prob_mean(batch.anchor, batch.mask).exp()
    before = batch.reward * log_prob_mean(batch.previous_anchor, batch.mask).exp()
    credit = (2 * now - before if optimistic else now).detach()
    squares = (policy - batch.anchor.detach()).square().sum(-1) / lengths(batch.mask)
    return -credit * log_prob_mean(policy, batch.mask) + squares / (2 * eta)


fpa_omd = future_policy(omd)


def mirror_step(log_policy: Tensor, reward: Tensor, eta: float) -> Tensor:
    """Return the log-policy after one step of mirror descent, `log π + η r`, normalised.

    log_policy: (..., A) normalised log-probs of A actions; reward: (..., A), to be maximised.
    """
    return torch.log_softmax(log_policy + eta * reward, -1)


class TwoSequence(NamedTuple):
    """State of two-sequence optimistic mirror descent: π', and the last reward as prediction."""

    log_base: Tensor  # (..., A) log π'
    prediction: Tensor  # (..., A) m_t = r_{t-1}


def two_sequence_play(state: TwoSequence, eta: float) -> Tensor:
    """Return the log-policy to play, `π_t ∝ π'_t exp(η m_t)`, (..., A) (arXiv 1311.1869)."""
    return mirror_step(state.log_base, state.prediction, eta)


def two_sequence_update(state: TwoSequence, reward: Tensor, eta: float) -> TwoSequence:
    """Return the state after reward (..., A) was seen: `π'_{t+1} ∝ π'_t exp(η r_t)`."""
    return TwoSequence(mirror_step(state.log_base, reward, eta), reward)


def optimistic_step(log_policy: Tensor, reward: Tensor, previous: Tensor, eta: float) -> Tensor:
    """Return the next log-policy of the single-sequence form, `log π_t + η (2 r_t - r_{t-1})`.

    log_policy, reward, previous: (..., A). Plays what the two-sequence form plays (arXiv
    1311.1869), for a fixed η.
    """
    return mirror_step(log_policy, 2 * reward - previous, eta)
