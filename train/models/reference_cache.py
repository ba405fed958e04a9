"""Whether a run keeps the reference's hidden states on disk, and where."""

import shutil
from pathlib import Path

from torch import Tensor

from train.config import Config
from train.data.tokenized import TokenizedData
from train.devices import processes
from train.models.language_model import LanguageModel
from train.models.reference_states import ReferenceStates, lay_out, reference_states

PAYS_FROM = 2  # readings of each row in a run; one of them is the cache's own
MOST_OF_FREE = 0.5  # of the disk, that `auto` takes


def cached_reference(
    reference: LanguageModel, data: TokenizedData, rows: Tensor, config: Config, run: Path
) -> tuple[ReferenceStates, int] | None:
    """Return the reference's states and the tokens read for them; None where it is not worth it.

    reference: where it is to compute. rows: of the data, that the run reads. run: its folder.

    `auto` keeps them where the run reads each row at least twice and half of the free disk holds
    them.
    """
    layout = lay_out(data, rows, reference)
    folder = Path(config.reference_cache)
    if config.reference_cache == "auto":
        folder = _beside_runs(config, run) / "reference-cache"
        reads = config.steps * config.batch_size
        free = processes.agree(shutil.disk_usage(_existing(folder)).free)
        if reads < PAYS_FROM * len(layout.rows) or layout.bytes > MOST_OF_FREE * free:
            return None
    print(
        f"       reference states: {layout.tokens} tokens, {layout.bytes / 1e6:.1f} MB in {folder}",
        flush=True,
    )
    return reference_states(reference, data, layout, folder, run)


def _beside_runs(config: Config, run: Path) -> Path:
    """Return the folder in which a command's runs are, so that they share what they can."""
    out = Path(config.out or "runs")
    return out.parent if run == out else out


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
