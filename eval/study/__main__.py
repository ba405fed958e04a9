"""Make the study's tables and figures from its results, check them, or train its runs again.

python -m eval.study                                     # tables into eval/STUDY.md, and figures
python -m eval.study --check                             # whether they are what the results say
python -m eval.study --make chains --runs runs/study     # make what is missing; then its results
"""

import sys
from pathlib import Path

from objectives.errors import InputError, command_line
from objectives.output_lock import held
from train.config import UNTRAINED
from train.config.flags import Parser


def main() -> None:
    parser = Parser("eval.study", __doc__)
    parser.add_argument("--check", action="store_true", help="say what differs, and write nothing")
    parser.add_argument(
        "--make", metavar="NAME", help="make the runs of this experiment of plan.toml"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/study"), metavar="PATH",
        help="folder of its runs (default: runs/study)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs at a time (default: 1)"
    )
    parser.add_argument(
        "--partial", action="store_true", help="take the runs that are finished, and make none"
    )
    arguments = parser.parse_args(sys.argv[1:])
    if arguments.make and arguments.check:
        raise InputError("--check: not with --make: give one")
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: must be 1 or more")

    # Imported here so that a mistyped flag is answered at once.
    if arguments.make:
        _make(arguments.make, arguments.runs, arguments.workers, arguments.partial)
    else:
        _page(arguments.check)


def _make(name: str, runs: Path, workers: int, partial: bool) -> None:
    """Make an experiment's runs whose results are not kept yet, and keep theirs, too."""
    from eval.study.making import make_missing
    from eval.study.plan import experiment

    planned, folder = experiment(name), runs / name
    kept = _Trainings(name) if planned.command == "train" else _Evaluations(name)
    with held(folder):
        if not partial:
            make_missing(planned, runs, workers, kept.names)
        names = [run for run, _ in planned.runs()]
        done = [run for run in names if (folder / run / planned.done).is_file()]
        if not done and not kept.names:
            raise InputError(f"{folder}: no finished run of {name} there")
        files = kept.add(done, folder)
        print(f"{len(kept.names | set(done))} of {len(names)} runs are finished")
        print(*files, sep="\n")


class _Trainings:
    """The runs of python -m train that an experiment keeps."""

    def __init__(self, experiment: str):
        from eval.study.records import kept_records, name

        self.experiment, self.records = experiment, kept_records(experiment)
        self.names = set(map(name, self.records))

    def add(self, done: list[str], folder: Path) -> list[Path]:
        from eval.study.records import collect, together, write_records

        new = collect(done, folder, UNTRAINED)
        return write_records(together(self.records, new), self.experiment)


class _Evaluations:
    """The evaluations by python -m eval that an experiment keeps."""

    def __init__(self, experiment: str):
        from eval.study.scores import kept_scores, names_of

        self.experiment, self.scores = experiment, kept_scores(experiment)
        self.names = names_of(self.scores)

    def add(self, done: list[str], folder: Path) -> list[Path]:
        from eval.study.scores import collect_scores, together, write_scores

        new = collect_scores(done, folder)
        return [write_scores(together(self.scores, new), self.experiment)]


def _page(check: bool) -> None:
    from eval.study.page import made, stale

    if not check:
        print(*made(), sep="\n")
        return
    differing = stale()
    if differing:
        raise InputError(f"not what the results say: {', '.join(differing)}: python -m eval.study")
    print("every table and figure is what the results say")


if __name__ == "__main__":
    command_line(main)
