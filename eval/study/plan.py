"""What the study runs: its experiments as `plan.toml` has them, and the command of each run."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.errors import InputError

PLAN = Path(__file__).with_name("plan.toml")
DONE = {"train": "result.json", "eval": "summary.json"}  # what a finished run has, by its command


@dataclass(frozen=True)
class Line:
    """One curve of an experiment: its flags, of which one is tried at several values."""

    name: str
    flags: dict[str, Any]  # of the command, by their names without dashes
    values: tuple[float, ...]


@dataclass(frozen=True)
class Experiment:
    """Runs of one command that are compared with one another."""

    name: str
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]
    command: str = "train"  # python -m train, or eval
    varied: str = "learning-rate"  # the flag that is tried at several values

    def runs(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each run's name and the words after its command, the first seed's first."""
        for seed in self.seeds:
            for line in self.lines:
                for value in line.values:
                    flags = line.flags | {self.varied: f"{value:g}"}
                    if self.command == "train":
                        flags["seed"] = seed
                    words = [word for flag in flags.items() for word in _words(*flag, seed)]
                    yield run_name(line.name, value, seed), words

    @property
    def done(self) -> str:
        """The file that a finished run has."""
        return DONE[self.command]


def run_name(line: str, value: float, seed: int) -> str:
    """Return the name of a run, which is where its folder is."""
    return f"{line}/{value:g}/{seed}"


def experiments() -> dict[str, Experiment]:
    """Return the study's experiments by name."""
    table = tomllib.loads(PLAN.read_text(encoding="utf-8"))
    return {name: _experiment(name, content) for name, content in table.items()}


def experiment(name: str) -> Experiment:
    """Return one experiment. Raises InputError for a name that the plan does not have."""
    found = experiments()
    if name not in found:
        raise InputError(f"{name}: not an experiment of the study: {', '.join(found)}")
    return found[name]


def _experiment(name: str, content: dict) -> Experiment:
    shared, values = content["settings"], content.get("values", ())
    command, lines = content.get("command", "train"), []
    for label, own in content["lines"].items():
        flags = ({"objective": label} if command == "train" else {}) | shared | own
        tried = flags.pop("values", values)
        lines.append(Line(label, flags, tuple(tried)))
    varied = content.get("varied", "learning-rate")
    return Experiment(name, tuple(content["seeds"]), tuple(lines), command, varied)


def _words(name: str, value: Any, seed: int) -> list[str]:
    return [f"--{name}"] if value is True else [f"--{name}", str(value).replace("SEED", f"{seed}")]
