"""Where a run's checkpoints are."""

import re
from pathlib import Path


def find_checkpoints(path: Path) -> dict[int, Path]:
    """Return the folders of a run's checkpoints by their step."""
    return {
        int(folder.name.removeprefix("step-")): folder
        for folder in (path / "checkpoints").glob("step-*")
        if re.fullmatch(r"step-\d+", folder.name) and folder.is_dir()
    }
