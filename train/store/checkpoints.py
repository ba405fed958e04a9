"""A run's checkpoints: where they are, and how one is written whole or not at all."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError
from train.devices import processes
from train.devices.sharding import is_sharded, whole_weights
from train.models.load import write_model
from train.store.parts import State, write_state


def find_checkpoints(path: Path) -> dict[int, Path]:
    """Return the folders of a run's checkpoints by their step."""
    return {
        int(folder.name.removeprefix("step-")): folder
        for folder in (path / "checkpoints").glob("step-*")
        if re.fullmatch(r"step-\d+", folder.name) and folder.is_dir()
    }


def write_checkpoint(
    path: Path,
    step: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    parts: Mapping[str, State],
    keep: int = 0,
) -> Path:
    """Write a run's `checkpoints/step-N` in Hugging Face layout, whole or not at all.

    The main process writes; weights that are sharded are gathered first, and each process then
    writes its part of the state.
    parts: what training goes on from besides the model. keep: of all checkpoints, the newest
    to keep, once this one is whole; 0 keeps all.
    Raises InputError where it cannot be written, as on a full disk.
    """
    target = path / "checkpoints" / f"step-{step}"
    partial = target.with_name(f".step-{step}.partial")
    sharded = is_sharded(model)
    weights = whole_weights(model) if sharded else None

    def begin() -> None:
        shutil.rmtree(partial, ignore_errors=True)
        with _whole_or_not(partial, target):
            partial.mkdir(parents=True)
            write_model(model, partial, weights)
            tokenizer.save_pretrained(partial)

    def finish() -> None:
        with _whole_or_not(partial, target):
            if target.exists():  # of a run that went on from an earlier one
                shutil.rmtree(target)
            os.replace(partial, target)
        found = find_checkpoints(path)
        for old in sorted(found)[:-keep] if keep else []:
            shutil.rmtree(found[old])

    processes.on_main(begin)
    if sharded or processes.is_main():
        with _whole_or_not(partial, target):
            write_state(partial, parts)
    processes.wait()
    processes.on_main(finish)
    return target


@contextmanager
def _whole_or_not(partial: Path, target: Path) -> Iterator[None]:
    """Where something cannot be written, remove the part that is, and say so in one line."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(
            f"{target} cannot be written ({error}); what was written before stays as it is: "
            f"free some space, or name another place with --out"
        ) from None
