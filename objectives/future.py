"""Future Policy Approximation: any objective, weighted by where the policy is heading."""

import inspect
from functools import wraps
from typing import Literal, Protocol, cast, get_args

import torch
from torch import Tensor

from objectives.batch import Batch
from objectives.contract import Hyper, Loss, Unit, check
from objectives.docstrings import parameter_help

SOURCE = "2509.19893"
ApplyTo = Literal["both", "negative", "positive"]


class FutureLoss(Protocol[Hyper]):
    """The future-policy form of an objective: an objective with one keyword more."""

    __name__: str
    __qualname__: str
    __signature__: inspect.Signature
    unit: Unit
    needs: tuple[str, ...]
    base: Loss[Hyper]  # the objective that it is a form of

    # In truth `apply_to` is keyword-only, which cannot be said beside another's parameters.
    def __call__(
        self,
        policy: Tensor,
        batch: Batch,
        apply_to: ApplyTo = "both",
        *args: Hyper.args,
        **hyper: Hyper.kwargs,
    ) -> Tensor: ...


def future_policy(
    objective: Loss[Hyper], apply_to: ApplyTo = "both", *, name: str | None = None
) -> FutureLoss[Hyper]:
    """Return the objective whose gradient coefficients are those at the future policy.

    Source: arXiv 2509.19893. An objective's gradient is `-Σ c_t ∇log π_θ(y_t)` with
    `c = -∂L/∂(log-probs)`. Here c is evaluated at `batch.future`, the log-probs of the sampled
    tokens under `softmax((1+λ) h_θ - λ h_ref)`, h being logits, and detached; ∇log π_θ stays at θ.
    With λ = 0 or θ = ref it is the objective itself.

    objective: any objective of this package, or one declared with per_pair or per_trajectory.
    apply_to: which trajectories' gradients are weighted by the future policy: both, positive
    (chosen, or of a reward above 0) or negative ones; the others' by the policy itself.
    name: how the form is called, `fpa_` and the name of the objective unless given.
    Returns an objective with the unit and hyper-parameters of the one given and the keyword
    `apply_to`, whose value is that of the one given at θ. Raises ValueError where batch.future is
    missing.
    """

    plain: Loss = objective  # whatever its hyper-parameters
    unit, called = objective.unit, name or "fpa_" + objective.__name__
    needs = tuple(dict.fromkeys((*objective.needs, "future")))

    @wraps(objective)
    def transformed(policy: Tensor, batch: Batch, *, apply_to=apply_to, **hyper) -> Tensor:
        if apply_to not in get_args(ApplyTo):
            raise ValueError(f"apply_to must be one of {get_args(ApplyTo)}, got {apply_to!r}")
        check(policy, batch, needs, called)
        if unit == "pair":
            # Two rows of its own for each pair, so that coefficients belong to one unit each.
            index = batch.pairs.flatten()
            own = torch.arange(len(index), device=index.device).view(-1, 2)
            policy, batch = policy[index], batch.rows(index)._replace(pairs=own)

        def total(log_probs: Tensor) -> Tensor:
            return plain(log_probs, batch, **hyper).sum()

        gradient = torch.func.grad(total)(batch.future)
        if apply_to != "both":
            positive = _positive(unit, batch)[:, None]
            ahead = positive if apply_to == "positive" else ~positive
            gradient = torch.where(ahead, gradient, torch.func.grad(total)(policy.detach()))
        surrogate = torch.where(batch.mask, gradient.detach() * policy, 0.0).sum(-1)
        if unit == "pair":
            surrogate = surrogate.view(-1, 2).sum(-1)
        value = plain(policy.detach(), batch, **hyper)
        return value + (surrogate - surrogate.detach())  # the bracket is exactly 0

    form = cast(FutureLoss[Hyper], transformed)
    form.base, form.unit, form.needs = objective, unit, needs
    form.__name__ = form.__qualname__ = called
    form.__doc__ = _documentation(objective)
    form.__signature__ = _with_apply_to(objective, apply_to)
    return form


def _positive(unit: Unit, batch: Batch) -> Tensor:
    """Return which rows are chosen or have a reward above 0, (B,): pairs are rows 0 1, 2 3, ..."""
    if unit == "trajectory":
        return batch.reward > 0
    return torch.arange(len(batch.mask), device=batch.mask.device) % 2 == 0


def _documentation(objective: Loss) -> str:
    """Return the objective's docstring with a summary of the form's own, and its keyword."""
    rest = (inspect.getdoc(objective) or "").partition("\n")[2]
    text = parameter_help(inspect.getdoc(future_policy) or "")["apply_to"]
    return (
        f"{objective.__name__} with its gradient weighted by the future policy (arXiv {SOURCE}).\n"
        f"{rest}\napply_to: {text}."
    )


def _with_apply_to(objective: Loss, default: ApplyTo) -> inspect.Signature:
    signature = inspect.signature(objective)
    keyword = inspect.Parameter(
        "apply_to", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=ApplyTo
    )
    return signature.replace(parameters=[*signature.parameters.values(), keyword])
