"""Compare runs of python -m train, or evaluations of models.

python -m eval.compare runs/*                            # every run in these folders, at any depth
python -m eval.compare runs --baseline sft --metric sampled --out comparisons/sft
python -m eval.compare runs/eval-base runs/eval-fpa      # folders of python -m eval
python -m eval.compare lm-eval/base lm-eval/mine         # of lm-evaluation-harness --log_samples

Runs that differ only in seed are one line; of several learning rates the best is reported, chosen
by half of the seeds on half of the problems and judged by the others. Evaluations are columns,
benchmarks rows, and differences are of the same problems. Writes comparison.csv (numbers),
comparison.md, report.html and figures, over those of a comparison made there before.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.errors import InputError, command_line
from objectives.output_lock import held
from objectives.whole_files import write_whole
from train.config import UNTRAINED
from train.config.flags import Parser, add_flags, flag, from_flags

BASELINE, METRICS = "offline_rl", ("greedy", "sampled")


@dataclass(frozen=True)
class Settings:
    """Each field is a flag."""

    out: str | None = flag(
        None,
        "folder to write, by default runs/comparison, or of evaluations runs/eval-comparison",
        "PATH",
    )
    baseline: str | None = flag(
        None,
        f"what differences are from: an objective, by default {BASELINE}; of evaluations one of "
        f"the paths, by default the first",
        "NAME",
    )
    metric: str | None = flag(
        None,
        "accuracy that differences are of, and learning rate and best step chosen by, greedy (the "
        "default) or sampled; of lm-evaluation-harness's files one of their metrics, by default "
        "the first",
        "NAME",
    )
    filter: str | None = flag(
        None, "of lm-evaluation-harness's files one of their filters, by default the first", "NAME"
    )


def main() -> None:
    parser = Parser(
        "eval.compare",
        "Compare runs: accuracies with intervals over problems and seeds, differences "
        "from a baseline, costs. Or evaluations: accuracies and paired differences.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="PATH",
        help="folders of runs, of python -m eval or of lm-evaluation-harness's samples, or with "
        "such at any depth; or files of such samples",
    )  # fmt: skip
    add_flags(parser, Settings)
    arguments = parser.parse_args(sys.argv[1:])
    settings, paths = from_flags(Settings, arguments), list(map(Path, arguments.runs))

    # Imported here so that a mistyped flag is answered at once.
    from eval.compare.evaluations.finding import find_evaluations

    found = find_evaluations(paths)
    if found:
        _compare_evaluations(found, settings)
    else:
        _compare_runs(paths, settings)


def _compare_runs(paths: Sequence[Path], settings: Settings) -> None:
    from eval.compare.comparison import compare_runs
    from eval.compare.runs import read_runs
    from eval.compare.words import display_table, notes, on_screen

    metric = settings.metric or METRICS[0]
    if metric not in METRICS:
        raise InputError(f"--metric {metric}: of runs it is {' or '.join(METRICS)}")
    if settings.filter is not None:
        raise InputError("--filter: for files of lm-evaluation-harness, and none is named")
    runs, left_out = read_runs(paths, UNTRAINED)
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    comparison = compare_runs(runs, metric, settings.baseline or BASELINE)
    print(f"{on_screen(display_table(comparison))}\n")
    print(*notes(comparison, []), "", sep="\n")
    _write(_pages_of_runs(comparison, left_out), Path(settings.out or "runs/comparison"))


def _compare_evaluations(paths: Sequence[Path], settings: Settings) -> None:
    from eval.compare.evaluations.comparing import compare_evaluations
    from eval.compare.evaluations.finding import read_evaluations
    from eval.compare.evaluations.pages import accuracy_table, difference_table, remarks
    from eval.compare.words import on_screen

    evaluations = read_evaluations(paths, settings.metric, settings.filter)
    compared = compare_evaluations(evaluations, settings.baseline)
    print(f"{on_screen(accuracy_table(compared))}\n\n{on_screen(difference_table(compared))}\n")
    print(*remarks(compared), "", sep="\n")
    _write(_pages_of_evaluations(compared), Path(settings.out or "runs/eval-comparison"))


def _pages_of_runs(comparison, left_out: list[str]) -> dict[str, str | bytes]:
    from eval.compare.html_report import html_report
    from eval.compare.plots import pictures
    from eval.compare.words import display_sweep, display_table, markdown, notes, sweep_caption
    from objectives.markdown import plain

    table, said, drawn = (
        display_table(comparison),
        notes(comparison, left_out),
        pictures(comparison),
    )
    further = []
    if comparison.sweep is not None:
        further = [("Learning rates", display_sweep(comparison), sweep_caption(comparison))]
    paragraphs = [markdown(table), *map(plain, said)]
    for _, cells, caption in further:
        paragraphs += [markdown(cells), plain(caption)]
    title = f"Objectives compared by {comparison.metric} accuracy"
    return {
        "comparison.csv": comparison.table.to_csv(index=False),
        "comparison.md": "\n\n".join(paragraphs) + "\n",
        "report.html": html_report(title, table, further, said, drawn),
        **{f"{picture.name}.png": picture.png for picture in drawn},
    }


def _pages_of_evaluations(compared) -> dict[str, str | bytes]:
    from eval.compare.evaluations.forest_plot import differences_picture
    from eval.compare.evaluations.pages import accuracy_table, difference_table, remarks, title
    from eval.compare.html_report import html_report
    from eval.compare.words import markdown
    from objectives.markdown import plain

    table, differences = accuracy_table(compared), difference_table(compared)
    said = remarks(compared)
    drawn, heading = differences_picture(compared), f"Differences from {compared.baseline}"
    further = [(heading, differences, "Of the same problems, one by one.")]
    paragraphs = [markdown(table), markdown(differences), *map(plain, said)]
    return {
        "comparison.csv": compared.table.to_csv(index=False),
        "comparison.md": "\n\n".join(paragraphs) + "\n",
        "report.html": html_report(title(compared), table, further, said, [drawn]),
        f"{drawn.name}.png": drawn.png,
    }


def _write(files: dict[str, str | bytes], folder: Path) -> None:
    with held(folder):
        for name, content in files.items():
            write_whole(folder / name, content)
        print(*(folder / name for name in files), sep="\n")


if __name__ == "__main__":
    command_line(main)
