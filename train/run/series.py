"""Planned runs, made one after another from one set-up."""

from collections.abc import Sequence
from pathlib import Path

from objectives.output_lock import InUse
from train.run.result import Result, comparison_table
from train.run.session import Session
from train.run.setup import set_up
from train.run.sweep import PlannedRun, taken_up
from train.store.provenance import provenance


def make_runs(
    planned: Sequence[PlannedRun], command: str, resume: str | None, shared: bool
) -> list[Result]:
    """Make planned runs in their order, print of each what comes out, and return the results.

    command: by which they are made, for their records. resume: as `plan_runs` has it. shared: in
    a sweep, of which other commands may make some runs meanwhile, which are then passed over.
    Raises InputError, before anything is trained, where one of the objectives cannot be.
    """
    # One set-up for all: with a sampler where any of them is online.
    setup = set_up(max((entry.config for entry in planned), key=lambda c: c.online))
    print(setup.describe())

    def session(entry: PlannedRun) -> Session:
        last = entry.folder == planned[-1].folder
        return Session(setup.with_config(entry.config), entry.spec, entry.folder, last)

    for entry in {entry.spec.name: entry for entry in planned}.values():
        session(entry)
    results = []
    for number, entry in enumerate(planned, 1):
        if len(planned) > 1:
            print(f"run {number} of {len(planned)}: {entry.folder}")
        try:
            with taken_up(entry, resume, shared) as found:
                if found.done:
                    print("done meanwhile", flush=True)
                    continue
                own, origin = session(found), provenance(command)
                print(own.describe(), flush=True)
                results.append(own.train(origin, found.resume, show=True))
        except InUse:
            if not shared:
                raise
            print("another command is at it", flush=True)
            continue
        print(results[-1].table(), *results[-1].pictures, "", sep="\n", flush=True)
    return results


def compare(results: list[Result], parent: Path) -> list[str]:
    """Draw several runs beside one another; return their table and the pictures' paths.

    parent: the folder that gets the pictures.
    """
    from diagnostics.curves.plots import plot_diagnoses
    from train.run.plots import plot_comparison

    folders = {result.objective: result.folder for result in results}
    pictures = (
        plot_comparison(folders, parent / "comparison.png"),
        plot_diagnoses(folders, parent / "diagnostics.png"),
    )
    return [comparison_table(results), *map(str, filter(None, pictures))]
