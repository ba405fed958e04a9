"""What every objective promises: shapes checked on entry, weights and empty rows on exit."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

from objectives.batch import ROW_FIELDS, TOKEN_FIELDS, Batch, masked

Loss = Callable[..., Tensor]


def per_trajectory(*needs: str) -> Callable[[Loss], Loss]:
    """Declare a function `f(policy, batch, **hyper) -> (B,)` an objective with a loss per row.

    needs: the fields of Batch that it reads besides `mask`.
    The declared objective raises ValueError for missing fields and wrong shapes, multiplies by
    `batch.weight`, and gives 0 with zero gradient for a row without tokens.
    """
    return _declare("trajectory", needs)


def per_pair(*needs: str) -> Callable[[Loss], Loss]:
    """Declare a function `f(policy, batch, **hyper) -> (P,)` an objective with a loss per pair.

    As `per_trajectory`; a pair is weighted by the product of its rows' weights, and gives 0 if
    either row has no tokens.
    """
    return _declare("pair", ("pairs", *needs))


def _declare(unit: str, needs: tuple[str, ...]) -> Callable[[Loss], Loss]:
    def decorate(function: Loss) -> Loss:
        @wraps(function)
        def objective(policy: Tensor, batch: Batch, **hyper) -> Tensor:
            check(policy, batch, needs, function.__name__)
            mask = batch.mask
            # Masked here, once, so that no objective can let a masked value leak into a gradient.
            loss = function(
                masked(policy, mask), batch.map(lambda x: masked(x, mask), TOKEN_FIELDS), **hyper
            )
            counts, weight = batch.mask.any(-1), batch.weight
            if unit == "pair":
                counts = counts[batch.pairs].all(-1)
                weight = None if weight is None else weight[batch.pairs].prod(-1)
            loss = torch.where(counts, loss, 0.0)
            return loss if weight is None else loss * weight

        objective.unit = unit
        objective.needs = needs
        return objective

    return decorate


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
