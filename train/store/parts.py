"""What a checkpoint holds besides the model: named parts of tensors and of plain values."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from objectives.errors import InputError
from objectives.json_files import read_object, require
from train.devices import processes
from train.devices.sharding import from_own_part, own_part

State = tuple[dict[str, Tensor], dict]  # for safetensors and for JSON: no pickle is ever loaded
NAME = "trainer_state"


def _files(folder: Path) -> tuple[Path, Path]:
    """Return where tensors and values are: where weights are sharded, each process has its own."""
    part = f"-{processes.rank()}-of-{processes.count()}" if processes.sharding() else ""
    return folder / f"{NAME}{part}.safetensors", folder / f"{NAME}{part}.json"


def write_state(folder: Path, parts: Mapping[str, State]) -> None:
    """Write parts by name as two files of a folder."""
    tensors = {
        f"{part}/{name}": tensor.contiguous()
        for part, (own, _) in parts.items()
        for name, tensor in own.items()
    }
    file, other = _files(folder)
    save_file(tensors, file)
    values = {part: own for part, (_, own) in parts.items()}
    other.write_text(json.dumps(values) + "\n")


def read_state(folder: Path) -> dict[str, State]:
    """Return what `write_state` wrote.

    Raises InputError where the files are not whole, or of another number of processes.
    """
    file, other = _files(folder)
    there = sorted(path.name for path in folder.glob(f"{NAME}*.json"))
    if there and not other.exists():
        raise InputError(
            f"{folder}: its training state is in {there[0]} and not in {other.name}: go on with as "
            f"many processes, and weights sharded or not, as when it was written"
        )
    try:
        values = read_object(other)
        require(str(other), values, dict.fromkeys(values, dict))
        tensors = load_file(file)
        parts: dict[str, State] = {part: ({}, own) for part, own in values.items()}
        for name, tensor in tensors.items():
            part, own = name.split("/", 1)
            # Copied: a file's tensors lie in memory as they come, and the last bits of a product
            # depend on where its operands begin.
            parts[part][0][own] = tensor.clone()
    except (InputError, OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{folder}: cannot go on from this checkpoint, its state is not whole ({error}): "
            f"remove it to go on from the one before"
        ) from None
    return parts


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return an optimizer's state; its settings are the run's."""
    tensors = {
        f"{index}.{name}": own_part(value)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    return tensors, {}


def load_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Put an optimizer where `optimizer_state` found it."""
    tensors, _ = state
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, field = name.split(".", 1)
        parameter = parameters[int(index)]
        entries.setdefault(int(index), {})[field] = from_own_part(tensor, parameter)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def random_state() -> State:
    """Return the state of torch's generators; nothing of ours draws from them, a model may."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda.{n}": s for n, s in enumerate(torch.cuda.get_rng_state_all())}
    return tensors, {}


def load_random(state: State) -> None:
    """Put torch's generators where `random_state` found them, as far as the devices are there."""
    tensors, _ = state
    torch.set_rng_state(tensors["cpu"])
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            if f"cuda.{number}" in tensors:
                torch.cuda.set_rng_state(tensors[f"cuda.{number}"], number)
