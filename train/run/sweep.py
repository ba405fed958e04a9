"""Many runs from one command: objectives, learning rates and seeds, skipping what is done."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import read_object
from objectives.output_lock import InUse, held
from train.config.flags import flag_name, unchanging
from train.config.settings import Config
from train.config.spec import ObjectiveSpec, objective_spec
from train.devices import processes
from train.store.checkpoints import find_checkpoints
from train.store.folder import RunFolder, require_no_run

UNCOMPARED = unchanging(Config, "figures")  # settings that may differ where a run is done


@dataclass(frozen=True)
class PlannedRun:
    """A run to make, or one that is there."""

    spec: ObjectiveSpec
    config: Config
    folder: Path
    done: bool = False
    resume: bool = False  # from its last checkpoint


def plan_runs(
    config: Config,
    specs: Sequence[ObjectiveSpec],
    seeds: Sequence[int] | None = None,
    learning_rates: Sequence[float] | None = None,
    online: Sequence[str] = (),
    resume: str | None = None,
) -> list[PlannedRun]:
    """Return the runs of a command, in order: objective by objective, rate by rate, seed by seed.

    A single run goes to `runs/OBJECTIVE` (or --out), of several objectives each to a folder of its
    name; in a sweep each to `OBJECTIVE/lr-RATE/seed-N` below. In a sweep, and with `resume`, a
    finished run with the same settings is done, and an unfinished one goes on from its last
    checkpoint; where it has none it is moved aside, to be made again.
    online: the objectives that train on what the policy samples. resume: `always`, where every run
    must have a checkpoint, `auto`, where it may, or None.
    Raises InputError where a folder holds something else.
    """
    planned = [(own, config.with_online(own.name in online)) for own in specs]
    sweep = seeds is not None or learning_rates is not None
    parent = Path(config.out or "runs")
    if sweep:
        runs = [
            PlannedRun(
                own,
                replace(settings, seed=seed, learning_rate=rate),
                parent / own.short_name / f"lr-{rate:g}" / f"seed-{seed}",
            )
            for own, settings in planned
            for rate in learning_rates or [config.learning_rate]
            for seed in seeds or [config.seed]
        ]
    else:
        alone = config.out is not None and len(specs) == 1
        runs = [
            PlannedRun(own, settings, parent if alone else parent / own.short_name)
            for own, settings in planned
        ]
    by_folder = {run.folder: run.spec.name for run in reversed(runs)}
    for run in runs:
        if by_folder[run.folder] != run.spec.name:
            raise InputError(
                f"--objective {by_folder[run.folder]} and {run.spec.name} would both write "
                f"{run.folder}: train them in two commands, each with its --out"
            )
    return [_looked_up(run, resume, sweep) for run in runs]


def _looked_up(run: PlannedRun, resume: str | None, sweep: bool) -> PlannedRun:
    """Look what there is, as another command may be about to write it."""
    if not run.folder.exists():
        return as_found(run, resume, sweep)
    try:
        with held(run.folder):
            return as_found(run, resume, sweep)
    except InUse:
        if not sweep:
            raise
        return run  # it may be done when its turn comes


@contextmanager
def taken_up(run: PlannedRun, resume: str | None, sweep: bool) -> Iterator[PlannedRun]:
    """Hold a run's folder, then look what there is, then move aside what cannot be gone on with.

    Raises InUse where another command holds it, and InputError as `as_found` does.
    """
    with RunFolder(run.folder).locked():
        found = processes.on_main(lambda: as_found(run, resume, sweep))
        if not found.done:
            processes.on_main(lambda: _make_way(found))
        yield found


def as_found(run: PlannedRun, resume: str | None, sweep: bool) -> PlannedRun:
    """Say of a planned run whether it is finished or can go on, by what is in its folder now.

    resume, sweep: as `plan_runs` has them.
    Raises InputError where the folder holds a run of other settings, or nothing to go on from.
    """
    if not sweep and resume is None:
        require_no_run(run.folder)
        return run
    record = run.folder / "config.json"
    if not record.exists():
        if resume == "always":
            raise InputError(f"--resume: there is no run in {run.folder} to go on with")
        require_no_run(run.folder)
        return run
    there = read_object(record)
    # A run of an earlier version knows nothing of settings that came later.
    defaults = {entry.name: entry.default for entry in fields(run.config)}
    there = {**defaults, **objective_spec(run.spec.name, {}).record(), **there}
    wanted = {"objective": run.spec.name, **run.config.record(), **run.spec.record()}
    if run.config.epochs is not None:
        del wanted["steps"]  # which follow from epochs and data
    for name, value in wanted.items():
        if name not in UNCOMPARED and there.get(name) != value:
            raise InputError(
                f"{run.folder} holds a run with {flag_name(name)} {there.get(name)}, not {value}: "
                f"name another folder with --out, or remove it"
            )
    result = run.folder / "result.json"
    if result.exists():
        read_object(result)
        return replace(run, done=True)
    found = bool(find_checkpoints(run.folder))
    if resume == "always" and not found:
        raise InputError(
            f"--resume: the run in {run.folder} has no checkpoint to go on from; --resume auto "
            f"moves it aside and starts again"
        )
    return replace(run, resume=found)


def _make_way(run: PlannedRun) -> None:
    """Move an unfinished run's folder aside, so that nothing written is lost."""
    if run.resume or not (run.folder / "config.json").exists():
        return
    place, number = run.folder.resolve(), 1
    while (aside := place.with_name(f"{place.name}.unfinished-{number}")).exists():
        number += 1
    place.rename(aside)
    if run.folder.is_symlink():  # to what has another name now
        place.mkdir()
