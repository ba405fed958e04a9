"""Planned runs, made one after another from one set-up."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from train.devices import processes
from train.run.result import Result, comparison_table
from train.run.session import Session
from train.run.setup import set_up
from train.run.sweep import PlannedRun, as_found, make_way
from train.store.card import provenance
from train.store.folder import RunFolder


def make_runs(planned: Sequence[PlannedRun], command: str, shared: bool) -> list[Result]:
    """Make planned runs in their order, print of each what comes out, and return the results.

    command: by which they are made, for their records. shared: other commands may make some of
    them meanwhile, which are then passed over.
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
        if shared:
            if processes.on_main(RunFolder(entry.folder).in_use):
                print("another command is at it", flush=True)
                continue
            entry = processes.on_main(partial(as_found, entry))
            if entry.done:
                print("done meanwhile", flush=True)
                continue
        own, origin = session(entry), provenance(command)
        print(own.describe(), flush=True)
        processes.on_main(partial(make_way, entry))
        result = own.train(origin, entry.resume)
        own.present(result, origin)
        results.append(result)
        print(result.table(), *result.pictures, "", sep="\n", flush=True)
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
