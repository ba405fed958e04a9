"""Whether a run keeps the reference's hidden states on disk, and where."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from train.devices import processes
from train.models.language_model import LanguageModel
from train.models.reference_states import Layout, ReferenceStates, lay_out, reference_states

if TYPE_CHECKING:
    from train.run.loop import Run

PAYS_FROM = 2  # readings of each row in a run; one of them is the cache's own
MOST_OF_FREE = 0.5  # of the disk, that `auto` takes


def cached_reference(run: "Run", base: LanguageModel) -> tuple[ReferenceStates, int] | None:
    """Return the reference's states and the tokens read for them; None where it is not worth it.

    base: the reference, where it is to compute.

    `auto` keeps them where the run reads each row at least twice and half of the free disk holds
    them. Not for KTO, whose mismatched rows are new at every step, nor online, where all are.
    """
    config, needs = run.config, run.objective.needs
    looks = {"reference", "future"} & set(needs) and not (run.future and run.future.lag)
    choice = config.reference_cache
    if choice == "off" or not looks or "divergence" in needs or run.data.online:
        return None
    ground = run.ground
    layout = _layout(run)
    folder = Path(choice)
    if choice == "auto":
        folder = _beside_runs(run) / "reference-cache"
        reads = config.steps * config.batch_size
        free = processes.agree(shutil.disk_usage(_existing(folder)).free)
        if reads < PAYS_FROM * len(layout.rows) or layout.bytes > MOST_OF_FREE * free:
            return None
    print(
        f"       reference states: {layout.tokens} tokens, {layout.bytes / 1e6:.1f} MB in {folder}",
        flush=True,
    )
    pad = ground.tokenizer.pad_token_id
    return reference_states(base, ground.encoded, layout, folder, ground.precision, pad)


def _layout(run: "Run") -> Layout:
    base = run.ground.base
    dtype = base.head.weight.dtype
    if isinstance(run.ground.precision, torch.autocast):
        dtype = run.ground.precision.fast_dtype
    return lay_out(run.ground.encoded, run.data.units.rows, base.head.weight.shape[1], dtype)


def _beside_runs(run: "Run") -> Path:
    """Return the folder in which a command's runs are, so that they share what they can."""
    out = Path(run.config.out or "runs")
    return out.parent if run.folder.path == out else out


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
