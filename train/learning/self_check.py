"""Before the first step the policy is the reference: what must then hold, is checked."""

import torch
from torch import Tensor

from objectives import Batch, Objective
from objectives.batch import log_prob_mean
from objectives.errors import InputError
from objectives.future import at_policy
from train.config.spec import ObjectiveSpec
from train.data.micro_batches import MicroBatch
from train.learning.policies import Policies

TOLERANCE = 1e-4  # of log-probs, losses and gradients in float32
ROUNDINGS = 8  # of log-probs that two batches gave in bfloat16: so many times its eps


def check_start(
    spec: ObjectiveSpec, policies: Policies, micro: MicroBatch, lam: float | None
) -> None:
    """Raise InputError unless log-probs, loss and gradient are what they must be at the reference.

    Checks that reference and future log-probs equal the policy's, that the loss has its value in
    closed form, and that a future-policy objective has its base's gradient. Log-probs may differ by
    rounding: that of the forward passes' dtype where the reference's states are cached, as they
    were computed in other batches. Loss and gradient are taken where they are equal.
    """
    with torch.no_grad():
        policy, batch, _ = policies.evaluate(micro, lam)
    equal: dict[str, Tensor] = {}
    for name in ("reference", "future", "anchor", "previous_anchor"):
        other = getattr(batch, name)
        if other is None:
            continue
        # The future's logits are λ times as far from the policy's as the reference's.
        far = max(1.0, lam or 0.0) if name == "future" else 1.0
        if not _close(other, policy, far * _tolerance(policies)):
            difference = (other - policy).abs().max()
            raise InputError(
                f"self-check before the first step: {name} log-probs and the policy's differ by "
                f"{difference:.3g}, though the policy is still the reference; "
                f"{_reason(policies, micro, policy)}"
            )
        equal[name] = policy
    apart = batch.future_divergence
    if apart is not None:  # of second order in how much the log-probs differ
        zero = torch.zeros_like(apart)
        _require_close("the policy and its future", apart, zero, _tolerance(policies))
        equal["future_divergence"] = zero
    batch = batch._replace(**equal)
    objective, hyper = spec.objective, spec.hyper
    loss = objective(policy, batch, **hyper)
    expected = closed_form(objective, batch, policy, hyper)
    if expected is not None:
        _require_close("the loss and its closed form", loss, torch.as_tensor(expected).to(loss))
    base = at_policy(objective.loss)
    if base is not None:
        base_hyper = {name: value for name, value in hyper.items() if name != "apply_to"}
        mine = _gradient(objective, policy, batch, hyper)
        _require_close("the gradients with and without the future policy", mine,
                       _gradient(base, policy, batch, base_hyper))  # fmt: skip


def _tolerance(policies: Policies) -> float:
    dtype = policies.policy.precision.dtype
    if policies.states is None or dtype is None:
        return TOLERANCE
    return ROUNDINGS * torch.finfo(dtype).eps


def _reason(policies: Policies, micro: MicroBatch, policy: Tensor) -> str:
    """Return in words why they differ: what can be told by computing once more."""
    with torch.no_grad():
        again, *_ = policies.evaluate(micro, None)
    if not _close(again, policy, TOLERANCE):
        return "the model computes something else each time: it has dropout or other random parts"
    if policies.states is not None:
        return (
            f"the cached states of the reference differ by more than rounding "
            f"({_tolerance(policies):.2g}): --reference-cache off computes them in each step"
        )
    return "policy and reference are not the same model"


def closed_form(objective: Objective, batch: Batch, policy: Tensor, hyper) -> Tensor | float | None:
    """Return the weighted loss per unit that the registry states for policy = reference."""
    if objective.at_reference is None:
        return None
    value = objective.at_reference(log_prob_mean(policy, batch.mask), batch, hyper)
    if value is None or batch.weight is None:
        return value
    if objective.unit == "pair":
        return value * batch.weight[batch.pairs].prod(-1)
    return value * batch.weight


def _gradient(loss, policy: Tensor, batch: Batch, hyper) -> Tensor:
    return torch.func.grad(lambda log_probs: loss(log_probs, batch, **hyper).sum())(policy)


def _close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Say whether they differ by less, or by less of the largest value where that is above 1."""
    scale = other.abs().max().clamp(min=1)
    return bool((one - other).abs().max() <= tolerance * scale)


def _require_close(what: str, one: Tensor, other: Tensor, tolerance: float = TOLERANCE) -> None:
    if not _close(one, other, tolerance):
        raise InputError(
            f"self-check before the first step: {what} differ by "
            f"{(one - other).abs().max():.3g} where the policy is the reference: the objective is "
            f"not what the registry says of it"
        )
