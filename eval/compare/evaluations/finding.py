"""Which paths are evaluations, and reading them."""

from collections.abc import Sequence
from pathlib import Path

from eval.compare.evaluations.evaluation import Evaluation
from eval.compare.evaluations.harness_logs import is_log, read_logs
from eval.compare.evaluations.own_folders import COMPLETIONS, is_own, read_own
from objectives.errors import InputError


def find_evaluations(paths: Sequence[Path]) -> list[Path]:
    """Return evaluations among the paths and in the folders within them, at any depth.

    Empty where there is none, as for folders of runs. Raises InputError for a path that is not
    there, and where only some of the paths hold evaluations.
    """
    found: dict[Path, list[Path]] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        own = [path] if is_own(path) or is_log(path) else []
        if not own and path.is_dir():
            files = [*path.rglob(COMPLETIONS), *path.rglob("samples_*.jsonl")]
            folders = sorted({file.parent for file in files})
            own = [folder for folder in folders if is_own(folder) or is_log(folder)]
        found[path] = own
    without = [str(path) for path, own in found.items() if not own]
    if without and len(without) < len(found):
        other = next(path for path, own in found.items() if own)
        raise InputError(
            f"{other} holds evaluations and {without[0]} none: name either folders of python -m "
            f"eval and files of lm-evaluation-harness, or runs of python -m train"
        )
    return list(dict.fromkeys(path for own in found.values() for path in own))


def read_evaluations(
    paths: Sequence[Path], metric: str | None, chosen_filter: str | None
) -> list[Evaluation]:
    """Read what `find_evaluations` found; metric and filter as in `read_logs`.

    Raises InputError naming the file that cannot be read, and for a metric or filter where no file
    of lm-evaluation-harness is.
    """
    if (metric or chosen_filter) and all(map(is_own, paths)):
        flag = "--metric" if metric else "--filter"
        raise InputError(f"{flag}: for files of lm-evaluation-harness, and none is named")
    read = [
        read_own(path) if is_own(path) else read_logs(path, metric, chosen_filter) for path in paths
    ]
    for flag, name, wanted in (
        ("--metric", "metric", metric),
        ("--filter", "filter", chosen_filter),
    ):
        taken = [g.settings.get(name) for e in read for g in e.benchmarks.values()]
        if wanted is not None and wanted not in taken:
            raise InputError(f"{flag} {wanted}: no file of samples has it (--help)")
    return read
