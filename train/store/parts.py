"""What a checkpoint holds besides the model: named parts of tensors and of plain values."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from objectives.errors import InputError
from objectives.json_files import read_object, require
from train.devices import processes
from train.models.misfit import misfit

State = tuple[dict[str, Tensor], dict]  # for safetensors and for JSON: no pickle is ever loaded
NAME = "trainer_state"


def state_files(folder: Path) -> tuple[Path, Path]:
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
    file, other = state_files(folder)
    save_file(tensors, file)
    values = {part: own for part, (_, own) in parts.items()}
    other.write_text(json.dumps(values) + "\n")


def read_values(folder: Path) -> dict[str, dict]:
    """Return the plain values of what `write_state` wrote, by part, as `read_state` raises."""
    _, file = state_files(folder)
    there = sorted(path.name for path in folder.glob(f"{NAME}*.json"))
    if there and not file.exists():
        raise InputError(
            f"{folder}: its training state is in {there[0]} and not in {file.name}: go on with as "
            f"many processes, and weights sharded or not, as when it was written"
        )
    with _whole(folder):
        values = read_object(file)
        require(str(file), values, dict.fromkeys(values, dict))
    return values


def read_state(folder: Path) -> dict[str, State]:
    """Return what `write_state` wrote.

    Raises InputError where the files are not whole, or of another number of processes.
    """
    parts: dict[str, State] = {part: ({}, own) for part, own in read_values(folder).items()}
    with _whole(folder):
        for name, tensor in load_file(state_files(folder)[0]).items():
            part, own = name.split("/", 1)
            # Copied: a file's tensors lie in memory as they come, and the last bits of a product
            # depend on where its operands begin.
            parts[part][0][own] = tensor.clone()
    return parts


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{folder}: cannot go on from this checkpoint, its state is not whole ({error}): "
            f"remove it to go on from the one before"
        ) from None


def random_state() -> State:
    """Return the state of torch's generators; nothing of ours draws from them, a model may."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda.{n}": s for n, s in enumerate(torch.cuda.get_rng_state_all())}
    return tensors, {}


def load_random(state: State) -> None:
    """Put torch's generators where `random_state` found them, as far as the devices are there.

    Raises ValueError where it is not the state of such generators.
    """
    tensors, _ = state
    wanted = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        like = torch.cuda.get_rng_state()
        wanted |= {name: like for name in tensors if name.startswith("cuda.")}
    known = {name: own for name, own in tensors.items() if name in wanted or name[:5] != "cuda."}
    if reason := misfit(known, wanted):
        raise ValueError(reason)
    torch.set_rng_state(tensors["cpu"])
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            if f"cuda.{number}" in tensors:
                torch.cuda.set_rng_state(tensors[f"cuda.{number}"], number)
