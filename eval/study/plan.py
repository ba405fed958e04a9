"""What the study trains: its experiments as `plan.toml` has them, and the command of each run."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.errors import InputError

PLAN = Path(__file__).with_name("plan.toml")


@dataclass(frozen=True)
class Line:
    """One curve of an experiment: an objective with its flags, at one or several learning rates."""

    name: str
    flags: dict[str, Any]  # of python -m train, by their names without dashes
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Experiment:
    """Runs that are compared with one another."""

    name: str
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]

    def runs(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each run's name and the words after `python -m train`, the first seed's first."""
        for seed in self.seeds:
            for line in self.lines:
                for rate in line.rates:
                    name = f"{line.name}/{rate:g}/{seed}"
                    flags = line.flags | {"learning-rate": f"{rate:g}", "seed": seed}
                    yield name, [word for flag in flags.items() for word in _words(*flag)]


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
    shared, rates = content["settings"], content.get("rates", ())
    lines = []
    for label, own in content["lines"].items():
        own = {"objective": label} | own
        tried = own.pop("rates", rates)
        lines.append(Line(label, shared | own, tuple(tried)))
    return Experiment(name, tuple(content["seeds"]), tuple(lines))


def _words(name: str, value: Any) -> list[str]:
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]
