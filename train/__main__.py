"""Train objectives of the zoo on graded rollouts.

python -m train --objective fpa                  # the built-in task, about three minutes
python -m train --objective fpa,dpo,offline_rl   # one after another, on the same data
python -m train --objective fpa --model smollm2 --data rollouts.parquet
python -m train --objective fpa --lam auto --lam-horizon 20 --future-from lagged:40
python -m train --list                           # the objectives and their own flags
"""

import sys
from pathlib import Path

from objectives import OBJECTIVES
from objectives.__main__ import table
from objectives.errors import InputError, command_line
from train.config import Config
from train.flags import Parser, add_flags, from_flags, hyper_parameters, objective_names
from train.future_settings import FUTURE_HELP, future_settings


def main() -> None:
    words = sys.argv[1:]
    parser = Parser(
        prog="python -m train",
        description="Train objectives on graded rollouts. An objective's hyper-parameters are "
        "flags too: --list shows them.",
        epilog=FUTURE_HELP,
    )
    parser.add_argument("--objective", help="a name, several with commas between, or all")
    parser.add_argument("--list", action="store_true", help="show the objectives and stop")
    add_flags(parser, Config)
    arguments, rest = parser.parse_known_args(words)
    if arguments.list:
        print(table())
        return
    names = _objectives(arguments.objective)
    given = hyper_parameters(rest, names)
    for name in names:
        if "lam" in OBJECTIVES[name].settings:
            future_settings(given[name], OBJECTIVES[name].settings["lam"])
    train(from_flags(Config, arguments), names, given, words)


def _objectives(text: str | None) -> list[str]:
    if text is None:
        raise InputError("name an objective with --objective, such as fpa (--list shows them)")
    return list(OBJECTIVES) if text == "all" else objective_names(text)


def train(config: Config, names: list[str], given: dict[str, dict], words: list[str]) -> None:
    """Train the named objectives one after another and print what came out."""
    # Imported here so that a mistyped flag is answered at once.
    from train.diagnose_comparison import plot_diagnoses
    from train.diagnose_plot import plot_diagnostics
    from train.ground import lay_ground
    from train.harness import Run
    from train.plots import plot_comparison, plot_run
    from train.report import comparison_table, run_table
    from train.run_folder import provenance, require_free

    folders = _folders(config.out, names)
    for folder in folders.values():
        require_free(folder)
    ground = lay_ground(config)
    print(ground.describe())
    runs = [Run(ground, name, given[name], folders[name]) for name in names]
    results = []
    for run in runs:
        print(run.describe(), flush=True)
        origin = provenance(words)
        result = run.train(origin)
        results.append(result)
        title = f"{result.objective} on {config.data} data"
        plots = [plot_run(result.folder, title), plot_diagnostics(result.folder, title)]
        run.folder.write_card(
            {"objective": result.objective, **vars(config), **origin}, run_table(result)
        )
        print(run_table(result), *filter(None, plots), "", sep="\n", flush=True)
    if len(results) > 1:
        parent = Path(config.out or "runs")
        runs = {result.objective: result.folder for result in results}
        pictures = (
            plot_comparison(runs, parent / "comparison.png"),
            plot_diagnoses(runs, parent / "diagnostics.png"),
        )
        print(comparison_table(results), *filter(None, pictures), sep="\n")


def _folders(out: str | None, names: list[str]) -> dict[str, Path]:
    if out is not None and len(names) == 1:
        return {names[0]: Path(out)}
    return {name: Path(out or "runs") / name for name in names}


if __name__ == "__main__":
    command_line(main)
