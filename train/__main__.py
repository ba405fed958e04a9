"""Train objectives of the zoo on graded rollouts.

python -m train --objective fpa                  # the built-in task, about three minutes
python -m train --objective fpa,dpo,offline_rl   # one after another, on the same data
python -m train --objective fpa --model smollm2 --data rollouts.parquet
python -m train --objective fpa --lam auto --lam-horizon 20 --future-from lagged:40
python -m train --objective fpa,dpo --seeds 0,1,2 --learning-rates 3e-6,1e-5,3e-5 --out runs/sweep
python -m train --objective grpo --online        # each step on what the policy samples
python -m train --objective fpa --recipe qwen2.5-math-7b --data rollouts.parquet
python -m train --list                           # the objectives, their own flags, the recipes
"""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from objectives.catalogue import CATALOGUE
from objectives.command import program
from objectives.errors import InputError, command_line
from objectives.zoo_table import zoo_table
from train.config.builtin_tasks import TASKS
from train.config.flags import Parser, add_flags, from_flags, peek
from train.config.objective_flags import add_objective_help, hyper_parameters, objective_names
from train.config.recipe import add_recipe_flag, recipe_of, recipes_table
from train.config.settings import Config
from train.devices import processes

if TYPE_CHECKING:
    from train.run.sweep import PlannedRun


def main() -> None:
    words = sys.argv[1:]
    parser = _parser(words)
    arguments, rest = parser.parse_known_args(words)
    if arguments.list:
        if arguments.objective is not None:  # of a user's own: shown among the others
            _objectives(arguments.objective)
        print(zoo_table(), recipes_table(), sep="\n\n")
        return
    names = _objectives(arguments.objective)
    given = hyper_parameters(rest, names, parser.flags)
    seeds = _numbers(arguments.seeds, "--seeds", int)
    rates = _numbers(arguments.learning_rates, "--learning-rates", float)
    online = _online(arguments.online, names)
    config = from_flags(Config, arguments, online=bool(online))
    if config.epochs is not None and peek(words, "--steps") is not None:
        raise InputError(f"--epochs {config.epochs:g}: not with --steps {config.steps}: give one")
    if online and len(online) < len(names) and config.data not in TASKS:
        raise InputError(
            f"--online {arguments.online}: {config.data} cannot be rollouts for the other "
            f"objectives and problems for these: train them in two commands"
        )

    # Imported here so that a mistyped flag is answered at once.
    from train.config.spec import objective_spec
    from train.run.sweep import plan_runs

    specs = [objective_spec(name, values) for name, values in given.items()]
    processes.begin(config.device)
    runs = processes.on_main(
        lambda: plan_runs(config, specs, seeds, rates, online, arguments.resume)
    )
    if config.push_to_hub is not None and len(runs) > 1:
        raise InputError(
            f"--push-to-hub {config.push_to_hub}: for one run, and this command makes {len(runs)}"
        )
    _train(runs, words, arguments.resume, sweep=bool(seeds or rates))


def _parser(words: list[str]) -> Parser:
    parser = Parser(
        "train",
        "Train objectives on graded rollouts. An objective's hyper-parameters are flags too: "
        "--objective NAME --help shows them.",
        usage="%(prog)s --objective NAMES [flags]",
    )
    parser.add_argument(
        "--objective", metavar="NAMES",
        help="a name, several with commas between, or all; one of your own is "
        "my_package.module:function or my_file.py:function",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true", help="show the objectives and the recipes, and stop"
    )
    add_recipe_flag(parser)
    parser.add_argument(
        "--seeds", metavar="N,N", help="a run for each: numbers with commas between"
    )
    parser.add_argument(
        "--learning-rates", metavar="RATE,RATE", help="a run for each: numbers with commas between"
    )
    parser.add_argument(
        "--online", nargs="?", const="all", metavar="NAMES",
        help="train on what the policy samples, step by step: all objectives, or those named",
    )  # fmt: skip
    parser.add_argument(
        "--resume", nargs="?", const="always", choices=("always", "auto"), metavar="always|auto",
        help="go on from the last checkpoint; auto: where there is none, start again",
    )  # fmt: skip
    add_flags(parser, Config)
    parser.set_defaults(**recipe_of(words))
    if {"-h", "--help"} & set(words) and (named := peek(words, "--objective")):
        add_objective_help(parser, _objectives(named))
    return parser


def _objectives(text: str | None) -> list[str]:
    if text is None:
        raise InputError("name an objective with --objective, such as fpa (--list shows them)")
    return list(CATALOGUE) if text == "all" else objective_names(text)


def _numbers(text: str | None, name: str, kind: type) -> list | None:
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


def _online(text: str | None, names: list[str]) -> list[str]:
    if text is None or text == "all":
        return names if text else []
    online = objective_names(text)
    for name in online:
        if name not in names:
            raise InputError(f"--online {name}: not among those of --objective {','.join(names)}")
    return online


def _train(runs: "list[PlannedRun]", words: list[str], resume: str | None, sweep: bool) -> None:
    missing = [run for run in runs if not run.done]
    if len(missing) < len(runs):
        print(f"{len(runs) - len(missing)} of {len(runs)} runs are done already")
    if not missing:
        print(*(run.folder for run in runs), sep="\n")
        return
    from train.run.series import compare, make_runs
    from train.store.provenance import called

    results = make_runs(missing, called("train"), resume, shared=sweep)
    parent = Path(runs[0].config.out or "runs")
    if sweep:
        print(f"compare them with: {program('eval.compare')} {shlex.quote(str(parent))}")
    elif len(results) > 1 and processes.is_main():
        print(*compare(results, parent), sep="\n")


if __name__ == "__main__":
    command_line(partial(processes.together, main), silent=not processes.is_main())
