"""An optimizer's state in a checkpoint, compared with the parameters before any of it is loaded."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from train.devices.sharding import from_own_part, own_part
from train.models.kinds import first_of
from train.models.misfit import misfit
from train.store.parts import State

STEP = "step"  # updates that a parameter has had
INSIDE = "."  # between the names of a state inside another


def optimizer_state(optimizer: torch.optim.Optimizer, names: list[str]) -> State:
    """Return an optimizer's state; its settings are the run's.

    names: of its parameters, in their order. One that never had a gradient has no state.
    """
    state = optimizer.state_dict()["state"]
    tensors = {
        f"{index}.{name}": own_part(value) if isinstance(value, Tensor) else torch.tensor(value)
        for index, values in state.items()
        for name, value in _flat(values).items()
    }
    without = [name for index, name in enumerate(names) if index not in state]
    return _unshared(tensors), {"parameters": names, "without": without}


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
    like = [_first_state(optimizer, parameter) for parameter in parameters]
    there = {key.split(".")[0] for key in tensors}
    absent = {n for n in range(len(names)) if str(n) not in there}
    if "without" in values:
        absent = {n for n in absent if names[n] in values["without"]}
    elif len(absent) == len(names):
        absent = set()
    wanted = {
        f"{index}.{field}": torch.as_tensor(own)
        for index, fields in enumerate(like)
        for field, own in fields.items()
        if index not in absent
    }
    if reason := misfit(_named(tensors, names), _named(wanted, names)):
        raise ValueError(reason)
    entries: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        index, field = key.split(".", 1)
        number = int(index)
        if field == STEP and not 1 <= tensor.item() <= done:
            raise ValueError(f"{names[number]} has had {tensor.item():g} of {done} updates")
        plain = not isinstance(like[number][field], Tensor)
        value = tensor.item() if plain else from_own_part(tensor, parameters[number])
        *outer, last = field.split(INSIDE)
        place = entries.setdefault(number, {})
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
    if absent and "without" not in values:
        return (
            f"{first_of({names[n] for n in absent})} without moments: as if without a gradient yet"
        )
    return None


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter's state by name; bitsandbytes keeps one inside another."""
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}{INSIDE}{inner}": own for inner, own in _flat(value).items()}
        else:
            found[name] = value
    return found


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy what several parameters have in common, which a file holds for each of them."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        if place in seen:
            tensors[name] = tensor.clone()
        seen.add(place)
    return tensors


def _first_state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Any]:
    """Return the state that a parameter has after its first update, its tensors without storage.

    The update is of a parameter of zeros, by a copy of the optimizer.
    """
    own = torch.nn.Parameter(torch.zeros_like(own_part(parameter)))
    own.grad = torch.zeros_like(own)
    probe = object.__new__(type(optimizer))
    probe.__dict__.update(optimizer.__dict__)
    probe.param_groups = [{**optimizer.param_groups[0], "params": [own]}]
    probe.state = defaultdict(dict)
    probe.step()
    found = _flat(probe.state_dict()["state"].get(0, {}))
    return {n: v.to("meta") if isinstance(v, Tensor) else v for n, v in found.items()}


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
