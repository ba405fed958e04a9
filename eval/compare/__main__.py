"""Compare runs of python -m train: a line per objective, figures, and a report of one file.

python -m eval.compare runs/*                            # every run in these folders, at any depth
python -m eval.compare runs --baseline sft --metric sampled --out comparisons/sft

Runs that differ only in seed are one line; of several learning rates the best is reported, chosen
by half of the seeds on half of the problems and judged by the others. Writes comparison.csv
(numbers), comparison.md, report.html and figures, over those of a comparison made there before.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from objectives.errors import command_line
from objectives.output_lock import held
from objectives.whole_files import write_whole
from train.config import UNTRAINED
from train.config.flags import Parser, add_flags, flag, from_flags


@dataclass(frozen=True)
class Settings:
    """Each field is a flag."""

    out: str = flag("runs/comparison", "folder to write", "PATH")
    baseline: str = flag(
        "offline_rl", "objective that the others' differences are from", "OBJECTIVE"
    )
    metric: Literal["greedy", "sampled"] = flag(
        "greedy", "accuracy that differences are of, and learning rate and best step chosen by"
    )


def main() -> None:
    parser = Parser(
        "eval.compare",
        "Compare runs: accuracies with intervals over problems and seeds, differences "
        "from a baseline, costs.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="FOLDER", help="folders of runs, or with runs at any depth"
    )
    add_flags(parser, Settings)
    arguments = parser.parse_args(sys.argv[1:])
    settings = from_flags(Settings, arguments)

    # Imported here so that a mistyped flag is answered at once.
    from eval.compare.comparison import compare_runs
    from eval.compare.runs import read_runs
    from eval.compare.words import display_table, notes, on_screen

    runs, left_out = read_runs(list(map(Path, arguments.runs)), UNTRAINED)
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    comparison = compare_runs(runs, settings.metric, settings.baseline)
    print(f"{on_screen(display_table(comparison))}\n")
    print(*notes(comparison, []), "", sep="\n")
    with held(Path(settings.out)):
        print(*_write(comparison, left_out, Path(settings.out)), sep="\n")


def _write(comparison, left_out: list[str], folder: Path) -> list[Path]:
    from eval.compare.html_report import html_report
    from eval.compare.plots import pictures
    from eval.compare.words import display_sweep, display_table, markdown, notes, sweep_caption
    from objectives.markdown import plain

    table, said, drawn = (
        display_table(comparison),
        notes(comparison, left_out),
        pictures(comparison),
    )
    sweep = None
    if comparison.sweep is not None:
        sweep = (sweep_caption(comparison), display_sweep(comparison))
    paragraphs = [markdown(table), *map(plain, said)]
    if sweep is not None:
        paragraphs += [markdown(sweep[1]), plain(sweep[0])]
    title = f"Objectives compared by {comparison.metric} accuracy"
    files: dict[str, str | bytes] = {
        "comparison.csv": comparison.table.to_csv(index=False),
        "comparison.md": "\n\n".join(paragraphs) + "\n",
        "report.html": html_report(title, table, sweep, said, drawn),
        **{f"{picture.name}.png": picture.png for picture in drawn},
    }
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


if __name__ == "__main__":
    command_line(main)
