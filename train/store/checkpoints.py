"""A run's checkpoints: where they are, and how one is written whole or not at all."""

import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.whole_files import flush, partial_of, writing
from train.devices import processes
from train.devices.sharding import is_sharded, whole_weights
from train.models.saving import write_model
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
    exempt: Collection[int] = (),
) -> Path:
    """Write a run's `checkpoints/step-N` in Hugging Face layout, whole or not at all.

    The main process writes; weights that are sharded are gathered first, and each process then
    writes its part of the state.
    parts: what training goes on from besides the model. keep: of all checkpoints, the newest
    to keep, once this one is whole; 0 keeps all. exempt: steps whose checkpoints stay.
    Raises InputError where it cannot be written, as on a full disk.
    """
    target = path / "checkpoints" / f"step-{step}"
    partial = partial_of(target)
    sharded = is_sharded(model)
    weights = whole_weights(model) if sharded else None

    def begin() -> None:
        shutil.rmtree(partial, ignore_errors=True)
        with writing(target, partial):
            partial.mkdir(parents=True)
            write_model(model, partial, weights)
            tokenizer.save_pretrained(partial)

    def finish() -> None:
        with writing(target, partial):
            if target.exists():  # of a run that went on from an earlier one
                shutil.rmtree(target)
            flush(partial)
            os.replace(partial, target)
        found = find_checkpoints(path)
        for old in sorted(found)[:-keep] if keep else []:
            if old not in exempt:
                shutil.rmtree(found[old])

    processes.on_main(begin)
    if sharded or processes.is_main():
        with writing(target, partial):
            write_state(partial, parts)
    processes.wait()
    processes.on_main(finish)
    return target
