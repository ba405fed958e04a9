"""Before the first step the policy is the reference: what must then hold, is checked."""

import torch
from torch import Tensor

from objectives import Batch, Objective
from objectives.batch import log_prob_mean
from objectives.errors import InputError
from train.config.spec import ObjectiveSpec
from train.data.micro_batches import MicroBatch
from train.learning.policies import Policies

TOLERANCE = 1e-4


def check_start(
    spec: ObjectiveSpec, policies: Policies, micro: MicroBatch, lam: float | None
) -> None:
    """Raise InputError unless log-probs, loss and gradient are what they must be at the reference.

    Checks that reference and future log-probs equal the policy's, that the loss has its value in
    closed form, and that a future-policy objective has its base's gradient.
    """
    with torch.no_grad():
        policy, batch, _ = policies.evaluate(micro, lam)
    for name in ("reference", "future", "anchor", "previous_anchor"):
        other = getattr(batch, name)
        if other is not None:
            _require_close(f"{name} log-probs and the policy's", other, policy)
    objective, hyper = spec.objective, spec.hyper
    loss = objective(policy, batch, **hyper)
    expected = closed_form(objective, batch, policy, hyper)
    if expected is not None:
        _require_close("the loss and its closed form", loss, torch.as_tensor(expected).to(loss))
    base = getattr(objective.loss, "base", None)
    if base is not None:
        base_hyper = {name: value for name, value in hyper.items() if name != "apply_to"}
        mine = _gradient(objective, policy, batch, hyper)
        _require_close("the gradients with and without the future policy", mine,
                       _gradient(base, policy, batch, base_hyper))  # fmt: skip


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


def _require_close(what: str, one: Tensor, other: Tensor) -> None:
    scale = other.abs().max().clamp(min=1)
    difference = (one - other).abs().max()
    if not difference <= TOLERANCE * scale:
        raise InputError(
            f"self-check before the first step: {what} differ by {difference:.3g}, though the "
            f"policy is still the reference; the model may have dropout or random parts"
        )
