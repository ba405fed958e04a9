"""Objectives over pairs of a chosen (w) and a rejected (l) trajectory."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from objectives.batch import Batch, log_prob_mean, log_ratio_sum
from objectives.contract import per_pair
from objectives.domains import Domain, NonNegative, Positive, Probability
from objectives.future import future_policy
from objectives.likelihood import Granularity, mean_probability

# Above one half, the pairs would be told the wrong way round.
Flips = Annotated[float, Domain(least=0, most=0.5)]


def sides(row_values: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return a row statistic of the chosen and of the rejected trajectories, (B,) -> 2 x (P,)."""
    return row_values[batch.pairs[:, 0]], row_values[batch.pairs[:, 1]]


@per_pair("reference")
def dpo(
    policy: Tensor, batch: Batch, *, beta: Positive = 0.1, label_smoothing: Flips = 0.0
) -> Tensor:
    """Classify chosen against rejected by their log-ratios to the reference (arXiv 2305.18290).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    label_smoothing: assumed share of flipped pairs (conservative DPO).
    Loss (P,): `-log σ(β (d_w - d_l))`.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    margin = beta * (chosen - rejected)
    return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)


fpa_dpo = future_policy(dpo)


@per_pair("reference")
def ipo(policy: Tensor, batch: Batch, *, tau: Positive = 0.1) -> Tensor:
    """Regress the difference of mean log-ratios onto 1/(2 tau) (arXiv 2310.12036).

    policy: (B, T) token log-probs; means over tokens, as the authors confirmed.
    tau: regularisation; larger keeps closer to the reference.
    Loss (P,): `(m_w - m0_w - (m_l - m0_l) - 1/(2τ))²`.
    """
    chosen, rejected = sides(log_prob_mean(policy - batch.reference, batch.mask), batch)
    return (chosen - rejected - 1 / (2 * tau)) ** 2


fpa_ipo = future_policy(ipo)


@per_pair("reference")
def rpo(policy: Tensor, batch: Batch, *, beta: Positive = 0.1, alpha: NonNegative = 1.0) -> Tensor:
    """DPO plus the chosen trajectory's likelihood: Iterative Reasoning PO (arXiv 2404.19733).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    alpha: weight of the chosen trajectory's likelihood.
    Loss (P,): `dpo - α m_w`, the likelihood of each sequence over its own length.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    likelihood, _ = sides(log_prob_mean(policy, batch.mask), batch)
    return -logsigmoid(beta * (chosen - rejected)) - alpha * likelihood


fpa_rpo = future_policy(rpo)


@per_pair()
def simper(policy: Tensor, batch: Batch, *, granularity: Granularity = "trajectory") -> Tensor:
    """Raise the chosen's inverse perplexity and lower the rejected's (arXiv 2502.00883).

    policy: (B, T) token log-probs.
    granularity: mean p̄ of the token probabilities: geometric (trajectory) or arithmetic (token).
    Loss (P,): `-p̄_w + p̄_l`.
    """
    chosen, rejected = sides(mean_probability(policy, batch.mask, granularity), batch)
    return rejected - chosen


fpa_simper = future_policy(simper)


@per_pair()
def simpo(
    policy: Tensor, batch: Batch, *, beta: Positive = 2.0, gamma_ratio: NonNegative = 0.5
) -> Tensor:
    """Classify by mean log-probs with a margin and without a reference (arXiv 2405.14734).

    policy: (B, T) token log-probs.
    beta: scale of the difference of mean log-probs.
    gamma_ratio: γ / β, the margin by which chosen is to lead.
    Loss (P,): `-log σ(β (m_w - m_l) - γ)`.
    """
    chosen, rejected = sides(log_prob_mean(policy, batch.mask), batch)
    return -logsigmoid(beta * (chosen - rejected - gamma_ratio))


fpa_simpo = future_policy(simpo)


@per_pair()
def orpo(policy: Tensor, batch: Batch, *, lambda_or: NonNegative = 0.1) -> Tensor:
    """Likelihood of the chosen plus a log odds ratio, without a reference (arXiv 2403.07691).

    policy: (B, T) token log-probs.
    lambda_or: weight of the log odds ratio.
    Loss (P,): `-m_w - λ log σ(logodds(p̄_w) - logodds(p̄_l))`.
    """
    mean = log_prob_mean(policy, batch.mask)
    chosen, rejected = sides(mean - _log1mexp(mean), batch)
    return -sides(mean, batch)[0] - lambda_or * logsigmoid(chosen - rejected)


fpa_orpo = future_policy(orpo)


def _log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - exp(x)) for x <= 0, without cancellation, finite at 0."""
    x = x.clamp(max=-torch.finfo(x.dtype).eps)
    near = x > -0.693
    # Each branch gets arguments at which it is finite, or where's gradient would be NaN.
    by_expm1 = torch.where(near, x, -0.5).expm1().neg().log()
    by_log1p = torch.where(near, -1.0, x).exp().neg().log1p()
    return torch.where(near, by_expm1, by_log1p)


@per_pair("reference")
def dpop(
    policy: Tensor, batch: Batch, *, beta: Positive = 0.1, lambda_dpop: NonNegative = 50.0
) -> Tensor:
    """DPO with a penalty where the chosen falls below the reference (arXiv 2402.13228).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    lambda_dpop: weight of the penalty for a chosen trajectory below the reference.
    Loss (P,): `-log σ(β (d_w - d_l - λ max(0, -d_w)))`.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    return -logsigmoid(beta * (chosen - rejected - lambda_dpop * torch.relu(-chosen)))


fpa_dpop = future_policy(dpop)


@per_pair("reference")
def apo_zero(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """Push chosen above and rejected below the reference, each alone (arXiv 2408.06266).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    Loss (P,): `1 - σ(β d_w) + σ(β d_l)`.
    """
    chosen, rejected = sides(beta * log_ratio_sum(policy, batch), batch)
    return 1 - chosen.sigmoid() + rejected.sigmoid()


fpa_apo_zero = future_policy(apo_zero)


@per_pair("reference")
def gate_dpo(
    policy: Tensor,
    batch: Batch,
    *,
    beta: Positive = 0.1,
    sharpness: NonNegative = 10.0,
    threshold: Probability = 0.5,
) -> Tensor:
    """DPO whose push on a rejected trajectory closes as that grows improbable (arXiv 2605.02626).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    sharpness: a, how abruptly the gate closes (default assumed by us).
    threshold: τ, the mean probability of a rejected token at which it is half closed (default
    assumed by us).
    Loss (P,): dpo's value, with the rejected term's gradient times `sg σ(a (p̄_l - τ))`.
    """
    ratio = log_ratio_sum(policy, batch)
    chosen, rejected = sides(ratio, batch)
    probability = sides(log_prob_mean(policy, batch.mask).exp(), batch)[1]
    gate = (sharpness * (probability - threshold)).sigmoid().detach()
    rejected = gate * rejected + ((1 - gate) * rejected).detach()
    return -logsigmoid(beta * (chosen - rejected))


fpa_gate_dpo = future_policy(gate_dpo)
