"""Future Policy Approximation: any objective, weighted by where the policy is heading."""

import inspect
from functools import partial
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from objectives.batch import TRAINED_FIELDS, Batch
from objectives.catalogue import FUTURE
from objectives.contract import Hyper, Loss, Unit, check
from objectives.docstrings import parameter_help
from objectives.transform import Entry, Transform, declared

SOURCE = "2509.19893"
ApplyTo = Literal["both", "negative", "positive"]


def future_policy(
    objective: Loss[Hyper] | Entry[Hyper], apply_to: ApplyTo = "both", *, name: str | None = None
) -> "FutureLoss[Hyper]":
    """Return the objective whose gradient coefficients are those at the future policy.

    Source: arXiv 2509.19893. An objective's gradient is `-Σ c_t ∇log π_θ(y_t)` with
    `c = -∂L/∂(log-probs)`. Here c is evaluated at `batch.future`, the log-probs of the sampled
    tokens under `softmax((1+λ) h_θ - λ h_ref)`, h being logits, and detached; ∇log π_θ stays at θ.
    With λ = 0 or θ = ref it is the objective itself. What flows through a divergence from the
    future policy is the objective's own.

    objective: any objective of this package, an entry of OBJECTIVES, one declared with per_pair or
    per_trajectory, a future-policy form, or a functools.partial of one of these with keywords.
    apply_to: which trajectories' gradients are weighted by the future policy: both, positive
    (chosen, or of a reward above 0) or negative ones; the others' by the policy itself.
    name: how the form is called, `fpa_` and the name of the objective unless given.
    Returns an objective with the unit and hyper-parameters of the one given and the keyword
    `apply_to`, whose value is that of the one given at θ. Raises ValueError for what is no
    objective, and where batch.future is missing, or the reward that tells the sides apart.
    """
    return FutureLoss(declared(objective), apply_to, name)


class FutureLoss(Transform[Hyper]):
    """The future-policy form of an objective: an objective with one keyword more."""

    prefix = FUTURE
    keyword = "apply_to"
    kind = ApplyTo

    def __init__(self, base: Loss[Hyper], apply_to: ApplyTo = "both", name: str | None = None):
        _check_side(apply_to)
        self.apply_to = apply_to
        text = parameter_help(inspect.getdoc(future_policy) or "")["apply_to"]
        summary = f"{base.__name__} with its gradient weighted by the future policy"
        super().__init__(base, reads(base), name, f"{summary} (arXiv {SOURCE}).", text)

    # In truth `apply_to` is keyword-only, which cannot be said beside another's parameters.
    def __call__(
        self,
        policy: Tensor,
        batch: Batch,
        apply_to: ApplyTo | None = None,
        *args: Hyper.args,
        **hyper: Hyper.kwargs,
    ) -> Tensor:
        side = self.apply_to if apply_to is None else apply_to
        _check_side(side)
        by_reward = side != "both" and self.unit == "trajectory"
        check(policy, batch, (*self.needs, *(["reward"] * by_reward)), self.__name__)
        bound = partial(self.base, *args, **hyper)
        return _AtFuture.apply(policy, bound, self.unit, side, *batch)

    def __repr__(self) -> str:
        return f"<objective {self.__name__}, the future-policy form of {self.base.__name__}>"


class _AtFuture(torch.autograd.Function):
    """An objective's losses at the policy, with its gradient's coefficients at the future policy.

    The coefficients are constants: a second derivative goes through the upstream gradient alone.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(policy, loss, unit, side, *fields):
        return loss(policy, Batch._make(fields))  # torch 2.11 cannot compile Batch(*fields)

    @staticmethod
    def setup_context(ctx, inputs, output):
        policy, *ctx.about = inputs[:4]
        ctx.save_for_backward(policy, *inputs[4:])

    @staticmethod
    def backward(ctx, upstream):  # pyright: ignore[reportIncompatibleMethodOverride]
        policy, *fields = (x if x is None else x.detach() for x in ctx.saved_tensors)
        loss, unit, side = ctx.about
        batch = Batch(*cast(Any, fields))
        gradient = _gradient(loss, unit, side, cast(Tensor, policy), batch, upstream)
        wanted = dict(zip(Batch._fields, ctx.needs_input_grad[4:], strict=True))
        trained = {n for n in TRAINED_FIELDS if wanted[n] and n in loss.func.needs}
        slopes = (
            _slope(name, loss, policy, batch, upstream) if name in trained else None
            for name in Batch._fields
        )
        return gradient, None, None, None, *slopes


def _gradient(loss, unit: Unit, side: ApplyTo, policy: Tensor, batch: Batch, upstream: Tensor):
    """Return the losses' gradient, (B, T), of each row at the future policy or at the policy."""
    if side == "both":
        return _pulled_back(loss, batch.future, at_future(batch), upstream)
    if unit == "trajectory":
        return _by_side(loss, side, batch.reward > 0, policy, batch, upstream)
    # A row may be chosen in one pair and rejected in another: one copy of it for either.
    count = len(policy)
    copies = torch.arange(count, device=policy.device).repeat(2)
    twice = batch.rows(copies)._replace(pairs=batch.pairs + batch.pairs.new_tensor([0, count]))
    chosen = torch.arange(2 * count, device=policy.device) < count
    both = _by_side(loss, side, chosen, policy[copies], twice, upstream)
    return both[:count] + both[count:]


def _slope(name: str, loss, policy, batch: Batch, upstream: Tensor) -> Tensor:
    """Return the gradient of the losses at the policy with respect to a field of the batch."""

    def of_field(values: Tensor) -> Tensor:
        return loss(policy, batch._replace(**{name: values}))

    return torch.func.vjp(of_field, getattr(batch, name))[1](upstream)[0]


def reads(base: Loss) -> tuple[str, ...]:
    """Return the fields that an objective's form reads beside the objective's."""
    return ("future", "future_collision") if "collision" in base.needs else ("future",)


def at_future(batch: Batch) -> Batch:
    """Return the batch with what is known of the policy's whole distribution as the future's is."""
    return batch._replace(collision=batch.future_collision)


def _by_side(loss, side: ApplyTo, positive: Tensor, policy: Tensor, batch: Batch, upstream: Tensor):
    ahead = _pulled_back(loss, batch.future, at_future(batch), upstream)
    here = _pulled_back(loss, policy, batch, upstream)
    looks = positive if side == "positive" else ~positive
    return torch.where(looks[:, None], ahead, here)


def _pulled_back(loss, log_probs: Tensor, batch: Batch, upstream: Tensor) -> Tensor:
    """Return the gradient of the losses, weighted by `upstream`, where log-probs are those given.

    In the operations of the objective's own backward pass, so that at the same place it is the same
    to the last bit.
    """
    pull_back = torch.func.vjp(lambda values: loss(values, batch), log_probs)[1]
    return pull_back(upstream)[0]


def at_policy(loss: Any) -> Loss | None:
    """Return an objective without its future policy; None of one that does not look ahead.

    It is weighted by the policy itself: of `guarded(future_policy(dpo))` it is `guarded(dpo)`.
    """
    if isinstance(loss, FutureLoss):
        return loss.base
    if isinstance(loss, Transform):
        base = at_policy(loss.base)
        return None if base is None else loss.of(base)
    return None


def _check_side(apply_to: str) -> None:
    if apply_to not in get_args(ApplyTo):
        raise ValueError(f"apply_to must be one of {get_args(ApplyTo)}, got {apply_to!r}")
