"""Future Policy Approximation: any objective, weighted by where the policy is heading."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Literal, get_args

import torch
from torch import Tensor

from objectives.batch import Batch
from objectives.contract import Loss, check

ApplyTo = Literal["both", "negative", "positive"]


def future_policy(objective: Loss, apply_to: ApplyTo = "both") -> Loss:
    """Return the objective whose gradient coefficients are those at the future policy.

    Source: arXiv 2509.19893. An objective's gradient is `-Σ c_t ∇log π_θ(y_t)` with
    `c = -∂L/∂(log-probs)`. Here c is evaluated at `batch.future`, the log-probs of the sampled
    tokens under `softmax((1+λ) h_θ - λ h_ref)`, and detached; ∇log π_θ stays at θ. With λ = 0 or
    θ = ref it is the objective itself.

    objective: any objective of this package, or one declared with per_pair or per_trajectory.
    apply_to: which trajectories' coefficients look ahead, the others' are those at θ; positive
    means chosen in a pair, else a reward above 0. The returned objective has it as a keyword.
    Returns an objective with the unit and hyper-parameters of the one given, whose value is that
    of the one given at θ. Raises ValueError where batch.future is missing.
    """

    @wraps(objective)
    def transformed(
        policy: Tensor, batch: Batch, *, apply_to: ApplyTo = apply_to, **hyper
    ) -> Tensor:
        if apply_to not in get_args(ApplyTo):
            raise ValueError(f"apply_to must be one of {get_args(ApplyTo)}, got {apply_to!r}")
        check(policy, batch, transformed.needs, transformed.__name__)
        if objective.unit == "pair":
            # Two rows of its own for each pair, so that coefficients belong to one unit each.
            index = batch.pairs.flatten()
            own = torch.arange(len(index), device=index.device).view(-1, 2)
            policy, batch = policy[index], batch.rows(index)._replace(pairs=own)
            positive = (torch.arange(len(index), device=index.device) % 2 == 0)[:, None]
        else:
            positive = None if apply_to == "both" else (batch.reward > 0)[:, None]

        def total(log_probs: Tensor) -> Tensor:
            return objective(log_probs, batch, **hyper).sum()

        gradient = torch.func.grad(total)(batch.future)
        if apply_to != "both":
            ahead = positive if apply_to == "positive" else ~positive
            gradient = torch.where(ahead, gradient, torch.func.grad(total)(policy.detach()))
        surrogate = torch.where(batch.mask, gradient.detach() * policy, 0.0).sum(-1)
        if objective.unit == "pair":
            surrogate = surrogate.view(-1, 2).sum(-1)
        value = objective(policy.detach(), batch, **hyper)
        return value + (surrogate - surrogate.detach())  # the bracket is exactly 0

    transformed.base = objective
    transformed.unit = objective.unit
    transformed.needs = tuple(dict.fromkeys((*objective.needs, "future")))
    transformed.__name__ = "fpa_" + objective.__name__
    transformed.__signature__ = _with_keyword(objective, "apply_to", apply_to, ApplyTo)
    return transformed


def _with_keyword(function: Callable, name: str, default, annotation) -> inspect.Signature:
    signature = inspect.signature(function)
    keyword = inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
    return signature.replace(parameters=[*signature.parameters.values(), keyword])
