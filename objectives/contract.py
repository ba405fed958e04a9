"""What every objective promises: shapes checked on entry, weights and empty rows on exit."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, Protocol, cast

import torch
from torch import Tensor

from objectives.batch import CONSTANT_FIELDS, ROW_FIELDS, TOKEN_FIELDS, Batch, masked
from objectives.domains import check_domains, domains_of

Hyper = ParamSpec("Hyper")  # the keyword-only hyper-parameters of an objective
Unit = Literal["pair", "trajectory"]
Function = Callable[Concatenate[Tensor, Batch, Hyper], Tensor]


class Loss(Protocol[Hyper]):
    """An objective: a function that knows what one of its losses belongs to and what it reads."""

    __name__: str
    unit: Unit
    needs: tuple[str, ...]  # fields of Batch besides `mask`

    def __call__(
        self, policy: Tensor, batch: Batch, *args: Hyper.args, **hyper: Hyper.kwargs
    ) -> Tensor: ...


def per_trajectory(*needs: str) -> Callable[[Function[Hyper]], Loss[Hyper]]:
    """Declare a function `f(policy, batch, **hyper) -> (B,)` an objective with a loss per row.

    needs: the fields of Batch that it reads besides `mask`.
    The declared objective raises ValueError for missing fields, wrong shapes and hyper-parameters
    outside of the domain that their annotation has, and where the function returns something else
    than a loss per row, multiplies by `batch.weight`, and gives 0 with
    zero gradient for a row without tokens.
    """
    return lambda function: _declared(function, "trajectory", needs)


def per_pair(*needs: str) -> Callable[[Function[Hyper]], Loss[Hyper]]:
    """Declare a function `f(policy, batch, **hyper) -> (P,)` an objective with a loss per pair.

    As `per_trajectory`; a pair is weighted by the product of its rows' weights, and gives 0 if
    either row has no tokens.
    """
    return lambda function: _declared(function, "pair", ("pairs", *needs))


def _declared(function: Function[Hyper], unit: Unit, needs: tuple[str, ...]) -> Loss[Hyper]:
    domains = domains_of(function)

    @wraps(function)
    def objective(policy: Tensor, batch: Batch, *args: Hyper.args, **hyper: Hyper.kwargs) -> Tensor:
        check(policy, batch, needs, declared.__name__)
        check_domains(declared.__name__, domains, hyper)
        mask = batch.mask
        # Masked here, once, so that no objective can let a masked value leak into a gradient, and
        # detached: these are constants, also where they were computed from what is trained.
        batch = batch.map(Tensor.detach, CONSTANT_FIELDS)
        fields = batch.map(lambda x: masked(x, mask), TOKEN_FIELDS)
        loss = function(masked(policy, mask), fields, *args, **hyper)
        return finished(loss, unit, batch, declared.__name__)

    declared = cast(Loss[Hyper], objective)
    declared.unit, declared.needs = unit, needs
    return declared


def finished(loss: Tensor, unit: Unit, batch: Batch, name: str) -> Tensor:
    """Return losses, one per unit, times the units' weights; 0 of those without tokens.

    Raises ValueError, with the objective's name, where they are not one per unit.
    """
    counts, weight = batch.mask.any(-1), batch.weight
    if unit == "pair":
        counts = counts[batch.pairs].all(-1)
        weight = None if weight is None else weight[batch.pairs].prod(-1)
    if not isinstance(loss, Tensor) or loss.shape != counts.shape:
        found = _describe(loss) if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(
            f"{name} must return a Tensor of a loss per {unit}, {tuple(counts.shape)}, got {found}"
        )
    loss = torch.where(counts, loss, 0.0)
    return loss if weight is None else loss * weight.detach()


def check(policy: Tensor, batch: Batch, needs: tuple[str, ...], name: str) -> None:
    """Raise ValueError unless policy is (B, T) and the batch has the needed fields in shape."""
    if policy.dim() != 2 or not policy.is_floating_point():
        raise ValueError(f"{name}: policy must be (B, T) log-probs, got {_describe(policy)}")
    for field in needs:
        if getattr(batch, field) is None:
            raise ValueError(f"{name} needs batch.{field}, which is None")
    if batch.mask.dtype != torch.bool:
        raise ValueError(f"{name}: batch.mask must be bool, got {batch.mask.dtype}")
    expected = dict.fromkeys(("mask", *TOKEN_FIELDS), policy.shape)
    expected |= dict.fromkeys(ROW_FIELDS, policy.shape[:1])
    for field, shape in expected.items():
        value = getattr(batch, field)
        if value is not None and value.shape != shape:
            raise ValueError(
                f"{name}: batch.{field} must be {tuple(shape)}, got {_describe(value)}"
            )
    pairs = batch.pairs
    if pairs is not None and (pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point()):
        raise ValueError(f"{name}: batch.pairs must be (P, 2) integers, got {_describe(pairs)}")


def _describe(x: Tensor) -> str:
    return f"{tuple(x.shape)} {x.dtype}"
