"""Many runs from one command: objectives, learning rates and seeds, skipping what is done."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from objectives.errors import InputError
from train.config import Config
from train.flags import flag_name
from train.run_folder import require_free

UNCOMPARED = {"out", "device"}  # settings that may differ where a run is done


@dataclass(frozen=True)
class Planned:
    """A run to make, or one that is there."""

    objective: str
    config: Config
    folder: Path
    done: bool = False


def plan(
    config: Config,
    objectives: Sequence[str],
    given: dict[str, dict],
    seeds: Sequence[int] | None = None,
    learning_rates: Sequence[float] | None = None,
    online: Sequence[str] = (),
) -> list[Planned]:
    """Return the runs of a command, in order: objective by objective, rate by rate, seed by seed.

    A single run goes to `runs/OBJECTIVE` (or --out), of several objectives each to a folder of its
    name; in a sweep each to `OBJECTIVE/lr-RATE/seed-N` below. In a sweep a finished run with the
    same settings is done; an unfinished one is moved aside, to be made again from its start.
    online: the objectives that train on what the policy samples.
    Raises InputError where a folder holds something else.
    """
    configs = {name: config.with_online(name in online) for name in objectives}
    sweep = seeds is not None or learning_rates is not None
    if not sweep:
        alone = config.out is not None and len(objectives) == 1
        parent = Path(config.out or "runs")
        runs = [
            Planned(name, own, parent if alone else parent / name) for name, own in configs.items()
        ]
        for run in runs:
            require_free(run.folder)
        return runs
    parent = Path(config.out or "runs")
    runs = [
        Planned(
            name,
            replace(configs[name], seed=seed, learning_rate=rate),
            parent / name / f"lr-{rate:g}" / f"seed-{seed}",
        )
        for name in objectives
        for rate in learning_rates or [config.learning_rate]
        for seed in seeds or [config.seed]
    ]
    return [replace(run, done=_is_done(run, given[run.objective])) for run in runs]


def _is_done(run: Planned, given: dict) -> bool:
    """Say whether a planned run is finished; raise InputError where it was of other settings."""
    record = run.folder / "config.json"
    if not record.exists():
        require_free(run.folder)
        return False
    try:
        there = json.loads(record.read_text())
    except ValueError:
        there = {}
    wanted = {"objective": run.objective, **vars(run.config), **given}
    for name, value in wanted.items():
        if name not in UNCOMPARED and there.get(name) != value:
            raise InputError(
                f"{run.folder} holds a run with {flag_name(name)} {there.get(name)}, not {value}: "
                f"name another folder with --out, or remove it"
            )
    return (run.folder / "result.json").exists()


def make_way(run: Planned) -> None:
    """Move an unfinished run's folder aside, so that nothing written is lost."""
    if not run.folder.exists():
        return
    number = 1
    while (aside := run.folder.with_name(f"{run.folder.name}.unfinished-{number}")).exists():
        number += 1
    run.folder.rename(aside)


def read_numbers(text: str | None, name: str, kind: type) -> list | None:
    """Read numbers with commas between them. Raises InputError for what is none."""
    if text is None:
        return None
    try:
        numbers = list(dict.fromkeys(kind(word) for word in text.split(",")))
    except ValueError:
        numbers = []
    if not numbers or any(number < 0 for number in numbers):
        example = "0,1,2" if kind is int else "3e-6,1e-5"
        raise InputError(f"{name} {text}: expected numbers with commas between, as {example}")
    return numbers
