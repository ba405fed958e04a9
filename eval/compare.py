"""Compare runs of python -m train: a line per objective, figures, and a report of one file.

python -m eval.compare runs/*                            # every run in these folders, at any depth
python -m eval.compare runs --baseline sft --metric sampled --out comparisons/sft

Runs that differ only in seed are one line; of several learning rates the best is reported, chosen
on half of the problems and judged by the other. Writes comparison.csv (numbers), comparison.md,
report.html and figures, over those of a comparison made there before.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from objectives.errors import command_line
from train.flags import Parser, add_flags, flag, from_flags


@dataclass(frozen=True)
class Settings:
    """Each field is a flag."""

    out: str = flag("runs/comparison", "folder to write")
    baseline: str = flag("offline_rl", "objective that the others' differences are from")
    metric: Literal["greedy", "sampled"] = flag(
        "greedy", "accuracy that differences are of, and learning rate and best step chosen by"
    )


def main() -> None:
    parser = Parser(
        prog="python -m eval.compare",
        description="Compare runs: accuracies with intervals over problems and seeds, differences "
        "from a baseline, costs.",
    )
    parser.add_argument("runs", nargs="+", help="folders of runs, or with runs at any depth")
    add_flags(parser, Settings)
    arguments = parser.parse_args(sys.argv[1:])
    settings = from_flags(Settings, arguments)

    # Imported here so that a mistyped flag is answered at once.
    from eval.comparison import compare_runs
    from eval.comparison_words import display_table, notes, on_screen
    from eval.run_table import read_runs

    runs, left_out = read_runs(list(map(Path, arguments.runs)))
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    comparison = compare_runs(runs, settings.metric, settings.baseline)
    print(f"{on_screen(display_table(comparison))}\n")
    print(*notes(comparison, []), "", sep="\n")
    print(*_write(comparison, left_out, Path(settings.out)), sep="\n")


def _write(comparison, left_out: list[str], folder: Path) -> list[Path]:
    from eval.compare_plot import draw_compute, draw_differences, draw_problems, draw_steps
    from eval.comparison_words import (
        display_sweep,
        display_table,
        markdown,
        notes,
        sweep_caption,
    )
    from eval.report import html_report

    table, said = display_table(comparison), notes(comparison, left_out)
    sweep = None
    if comparison.sweep is not None:
        sweep = (sweep_caption(comparison), display_sweep(comparison))
    figures = [
        ("accuracy_over_steps", "Accuracy over steps",
         "Mean over seeds, the band from the lowest seed to the highest; the other objectives in "
         "grey.", draw_steps(comparison)),
        ("accuracy_over_compute", "Accuracy over compute",
         "The same over what training had cost by then; dotted: before training.",
         draw_compute(comparison)),
        ("differences", f"Differences from {comparison.baseline}",
         "95 % intervals over problems and seeds; blue where p, adjusted for the number of "
         "comparisons, is below .05.", draw_differences(comparison)),
        ("problems", "Problems gained and forgotten",
         "Greedy answers, mean over seeds: wrong then and right at the end (gained), right then "
         "and wrong at the end (forgotten).", draw_problems(comparison)),
    ]  # fmt: skip
    figures = [entry for entry in figures if entry[-1] is not None]
    folder.mkdir(parents=True, exist_ok=True)
    comparison.table.to_csv(folder / "comparison.csv", index=False)
    paragraphs = [markdown(table), *said]
    if sweep is not None:
        paragraphs += [markdown(sweep[1]), sweep[0]]
    (folder / "comparison.md").write_text("\n\n".join(paragraphs) + "\n")
    title = f"{len(comparison.lines)} objectives compared by {comparison.metric} accuracy"
    page = html_report(title, table, sweep, said, [entry[1:] for entry in figures])
    (folder / "report.html").write_text(page)
    for name, _, _, figure in figures:
        figure.savefig(folder / f"{name}.png", dpi=110)
    names = ["comparison.csv", "comparison.md", "report.html", *(f"{f[0]}.png" for f in figures)]
    return [folder / name for name in names]


if __name__ == "__main__":
    command_line(main)
