"""Where a run comes from: its command, versions and revision, and its model card."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("torch", "transformers", "peft", "datasets")


def provenance(words: list[str]) -> dict:
    """Return the command, versions and git revision that a run was made with."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    return {
        "command": " ".join(["python -m train", *words]),
        "versions": versions,
        "git_revision": _git_revision(),
        "threads": torch.get_num_threads(),
    }


def _git_revision() -> str | None:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return found.stdout.strip() or None
