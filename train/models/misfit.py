"""Tensors that a file has, compared with those that they are to become before any is loaded."""

from collections.abc import Mapping

from torch import Tensor

from train.models.kinds import first_of


def misfit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """Return in words what is missing, surplus, or of another shape or dtype; None where all fit.

    found, wanted: by name; of `wanted`, shapes and dtypes count.
    """
    if missing := wanted.keys() - found.keys():
        return f"it lacks {first_of(missing)}"
    if surplus := found.keys() - wanted.keys():
        return f"it has {first_of(surplus)}, for which there is no place"
    others = {name for name, own in wanted.items() if _kind(found[name]) != _kind(own)}
    if others:
        name = min(others)
        return f"{first_of(others)}: it has {_kind(found[name])}, not {_kind(wanted[name])}"
    return None


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} in {str(tensor.dtype).removeprefix('torch.')}"
