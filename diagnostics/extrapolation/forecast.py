"""Is the future policy where the policy goes? Predicted at step t, scored at step t + k.

Every function takes the policy at three moments, at N fixed probe positions: `origin`, from which
FPA extrapolates (the reference, or the policy some steps before t), `now` at step t, and `later`
at step t + k. Each is a (N, V) tensor of logits or a Snapshot. With h their logits and
`v = h_now - h_origin`, the forecast is `π̂(λ) = softmax(h_now + λ v)` (arXiv 2509.19893). Means are
over positions, `weights` (N,) as given or all equal. Positions are gone through in chunks of
`chunk_size`, in float64. Logits that are not finite give nan. Shapes that do not fit raise
ValueError.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from diagnostics.extrapolation.lam_rule import LAM_CEILING
from diagnostics.extrapolation.snapshot import Policy, logit_chunks
from objectives.batch import log_prob_mean

TOLERANCE = 1e-6  # of the best λ; the last Newton step is far better than its size
ZERO = torch.zeros((), dtype=torch.float64)  # what sums over chunks begin with, on any device
MOST_ITERATIONS = 60  # halving alone gets from LAM_CEILING below TOLERANCE in 24


@torch.no_grad()
def forecast_errors(
    origin: Policy,
    now: Policy,
    later: Policy,
    lams: Sequence[float],
    *,
    weights: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """Return the mean `KL(π_later ‖ π̂(λ))` in nats for each λ, (L,) in float64."""
    total = ZERO
    for weight, before, logits, after in logit_chunks((origin, now, later), weights, chunk_size):
        ahead, target = logits - before, _log_softmax(after)
        probability = target.exp()
        each = []
        for lam in lams:
            difference = target - _log_softmax(logits + lam * ahead)
            each.append(weight @ (probability * difference).sum(-1))
        total = total + torch.stack(each)
    return total


def skill(errors: Tensor, error_now: Tensor) -> Tensor:
    """Return `1 - error / error₀`: 1 is a perfect forecast, 0 is no better than no forecast.

    errors: (L,) of forecasts; error_now: scalar, the error at λ = 0, of the policy at t itself.
    Returns (L,); nan where error_now is 0, where the policy did not move.
    """
    return torch.where(error_now > 0, 1 - errors / error_now, math.nan)


class Slope(NamedTuple):
    """The derivatives of the forecast's error with respect to λ, scalars in float64."""

    first: Tensor  # E_π̂[v] - E_later[v]
    second: Tensor  # Var_π̂[v] >= 0: the error is convex in λ


@torch.no_grad()
def forecast_slope(
    origin: Policy,
    now: Policy,
    later: Policy,
    lam: float,
    *,
    weights: Tensor | None = None,
    chunk_size: int | None = None,
) -> Slope:
    """Return the derivatives of the mean `KL(π_later ‖ π̂(λ))` at one λ.

    `KL = Σ p log p - Σ p (h + λ v) + log Σ exp(h + λ v)` with p = π_later: the first sum has no λ,
    the second is linear in it and the last is convex.
    """
    reached = _mean_along(origin, now, later, weights, chunk_size)
    return _slope(origin, now, reached, lam, weights, chunk_size)


@torch.no_grad()
def best_lam(
    origin: Policy,
    now: Policy,
    later: Policy,
    *,
    floor: float = 0.0,
    ceiling: float = LAM_CEILING,
    weights: Tensor | None = None,
    chunk_size: int | None = None,
) -> float:
    """Return λ*, where the mean `KL(π_later ‖ π̂(λ))` is least between floor and ceiling.

    By Newton's method on the derivative, kept inside a bracket that shrinks at every iteration.
    nan where now is the origin, for then every λ forecasts the same.
    Raises ValueError unless floor < ceiling.
    """
    if not floor < ceiling:
        raise ValueError(f"floor must be below ceiling, got {floor} and {ceiling}")
    reached = _mean_along(origin, now, later, weights, chunk_size)

    def slope(lam: float) -> tuple[float, float]:
        first, second = _slope(origin, now, reached, lam, weights, chunk_size)
        return first.item(), second.item()

    first, second = slope(floor)
    if second == 0 or math.isnan(first):
        return math.nan
    if first >= 0:
        return floor
    if slope(ceiling)[0] <= 0:
        return ceiling
    low, high, lam = floor, ceiling, floor
    for _ in range(MOST_ITERATIONS):
        following = lam - first / second if second > 0 else math.inf
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - lam) <= TOLERANCE:
            return following
        lam = following
        first, second = slope(lam)
        low, high = (low, lam) if first > 0 else (lam, high)
    return lam


@torch.no_grad()
def displacement_cosine(
    origin: Policy,
    now: Policy,
    later: Policy,
    *,
    weights: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """Return the cosine between `h_now - h_origin` and `h_later - h_now`, a scalar in float64.

    Logits are centred per position, which leaves out the constant that softmax ignores. One cosine
    over all positions jointly, not a mean of cosines: positions where nothing moved would add
    theirs, which are noise. nan where either displacement is 0.
    """
    total = ZERO
    for weight, before, logits, after in logit_chunks((origin, now, later), weights, chunk_size):
        past, future = _centred(logits - before), _centred(after - logits)
        products = (past * future, past.square(), future.square())
        total = total + torch.stack([weight @ product.sum(-1) for product in products])
    inner, past, future = total.unbind()
    return inner / (past * future).sqrt()


@torch.no_grad()
def forecast_log_probs(
    origin: Policy,
    now: Policy,
    targets: Tensor,
    lams: Sequence[float],
    *,
    chunk_size: int | None = None,
) -> Tensor:
    """Return `log π̂(λ)` of the sampled tokens, (N,) ids -> (L, N) in float64.

    At λ = 0 it is log π of now itself.
    """
    if targets.shape != now.shape[:1]:
        raise ValueError(f"targets must be ({now.shape[0]},), got {tuple(targets.shape)}")
    parts, start = [], 0
    for _, before, logits in logit_chunks((origin, now), None, chunk_size):
        ahead, token = logits - before, targets[start : start + len(logits), None]
        start += len(logits)
        each = [_log_softmax(logits + lam * ahead).gather(-1, token).squeeze(-1) for lam in lams]
        parts.append(torch.stack(each))
    return torch.cat(parts, 1)


def weight_error(forecast: Tensor, later: Tensor, mask: Tensor) -> Tensor:
    """Return `|log p̄_π̂ - log p̄_later|`, how far off the weight is that FPA gives a trajectory.

    forecast, later: (B, T) token log-probs under π̂ at t and under the policy at t + k.
    mask: (B, T) bool. Returns (B,), 0 for a row without tokens.
    """
    if not forecast.shape == later.shape == mask.shape or mask.dim() != 2:
        shapes = [tuple(x.shape) for x in (forecast, later, mask)]
        raise ValueError(f"forecast, later and mask must be (B, T), got {shapes}")
    return (log_prob_mean(forecast, mask) - log_prob_mean(later, mask)).abs()


def _mean_along(origin, now, later, weights, chunk_size) -> Tensor:
    """Return the mean E_later[v]: how far along v the policy has come at t + k."""
    total = ZERO
    for weight, before, logits, after in logit_chunks((origin, now, later), weights, chunk_size):
        total = total + weight @ (_log_softmax(after).exp() * (logits - before)).sum(-1)
    return total


def _slope(origin, now, reached, lam, weights, chunk_size) -> Slope:
    mean = variance = ZERO
    for weight, before, logits in logit_chunks((origin, now), weights, chunk_size):
        ahead = logits - before
        probability = _log_softmax(logits + lam * ahead).exp()
        along = (probability * ahead).sum(-1)
        mean = mean + weight @ along
        variance = variance + weight @ (probability * (ahead - along[:, None]).square()).sum(-1)
    return Slope(mean - reached, variance)


def _log_softmax(logits: Tensor) -> Tensor:
    # On the CPU, torch's own takes four times as long in float64.
    return logits - logits.logsumexp(-1, keepdim=True)


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)
