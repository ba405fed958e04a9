"""Where a run comes from: its command, versions and revision, and its model card."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("torch", "transformers", "peft", "datasets")


def provenance(command: str) -> dict:
    """Return the command, versions and git revision that a run was made with."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    return {
        "command": command,
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


def model_card(config: dict, table: str, pictures: Mapping[str, str]) -> str:
    """Return a model card: what was trained, how, and how it went.

    config: settings, objective and provenance. pictures: names of files in `plots`, by what they
    show.
    """
    shown = "".join(f"![{what}](plots/{name})\n\n" for what, name in pictures.items())
    versions = ", ".join(f"{name} {text}" for name, text in config["versions"].items())
    return (
        f"# {config['objective']} from {config['model']}\n\n"
        f"Trained by objective-zoo with the objective `{config['objective']}` on "
        f"{config['data']}, seed {config['seed']}.\n\n"
        f"```\n{config['command']}\n```\n\n"
        f"```\n{table}\n```\n\n"
        f"{shown}"
        f"Made with {versions}; git revision {config['git_revision'] or 'unknown'}. "
        f"Every setting is in `config.json`, every step in `metrics.jsonl`.\n"
    )
