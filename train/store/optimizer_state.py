"""An optimizer's state in a checkpoint, compared with the parameters before any of it is loaded."""

from collections.abc import Mapping

import torch
from torch import Tensor

from train.devices.sharding import from_own_part, own_part
from train.models.kinds import first_of
from train.models.misfit import misfit
from train.store.parts import State

STEP = "step"  # updates that a parameter has had; AdamW keeps it as a number in float32
MOMENTS = ("exp_avg", "exp_avg_sq")  # of the parameter's shape and dtype


def optimizer_state(optimizer: torch.optim.Optimizer, names: list[str]) -> State:
    """Return an optimizer's state; its settings are the run's.

    names: of its parameters, in their order. One that never had a gradient has no state.
    """
    state = optimizer.state_dict()["state"]
    tensors = {
        f"{index}.{name}": own_part(value)
        for index, values in state.items()
        for name, value in values.items()
    }
    without = [name for index, name in enumerate(names) if index not in state]
    return tensors, {"parameters": names, "without": without}


def load_optimizer(
    optimizer: torch.optim.Optimizer, names: list[str], state: State, done: int
) -> str | None:
    """Put an optimizer where `optimizer_state` found it; return a line on what is not known of it.

    AdamW's fused kernel reads beyond moments that are smaller than their parameter, so that all is
    compared first. names: of its parameters, in their order. done: updates that it has made.
    Raises ValueError where the state is of other parameters, or not all of one.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    tensors, values = state
    _check_names(names, values)
    wanted = {
        f"{index}.{field}": like
        for index, parameter in enumerate(parameters)
        for field, like in _state_of(parameter).items()
    }
    absent = {n for n in range(len(names)) if not any(f"{n}.{f}" in tensors for f in _FIELDS)}
    if "without" in values:
        absent = {n for n in absent if names[n] in values["without"]}
    elif len(absent) == len(names):
        absent = set()
    wanted = {key: own for key, own in wanted.items() if int(key.split(".")[0]) not in absent}
    if reason := misfit(_named(tensors, names), _named(wanted, names)):
        raise ValueError(reason)
    entries: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, field = key.split(".", 1)
        if field == STEP and not 1 <= tensor.item() <= done:
            raise ValueError(f"{names[int(index)]} has had {tensor.item():g} of {done} updates")
        entries.setdefault(int(index), {})[field] = from_own_part(tensor, parameters[int(index)])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
    if absent and "without" not in values:
        return (
            f"{first_of({names[n] for n in absent})} without moments: as if without a gradient yet"
        )
    return None


_FIELDS = (STEP, *MOMENTS)


def _state_of(parameter: Tensor) -> dict[str, Tensor]:
    step = torch.empty((), dtype=torch.float32)
    return {STEP: step, **dict.fromkeys(MOMENTS, own_part(parameter))}


def _check_names(names: list[str], values: Mapping) -> None:
    """States of earlier versions have no names: their parameters are known by their places."""
    kept = values.get("parameters", names)
    if kept == names:
        return
    strange = sorted(set(map(str, kept)) ^ set(names))
    if strange:
        raise ValueError(f"its parameters are others: {first_of(strange)} in one of the two alone")
    raise ValueError("its parameters are in another order")


def _named(tensors: Mapping[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Return tensors by their parameters' names; those of no parameter as they are called."""
    places = {str(index): name for index, name in enumerate(names)}
    found = {}
    for key, tensor in tensors.items():
        index, _, field = key.partition(".")
        found[f"{places.get(index, index)}.{field}"] = tensor
    return found
