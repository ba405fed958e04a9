"""What all commands have: their name, `--version`, and one clear line for a word that is wrong."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from objectives.errors import InputError

DISTRIBUTION = "objective-zoo"


# What `zoo` calls the commands, and what they are for.
COMMANDS = {
    "train": ("train", "train objectives on graded rollouts"),
    "eval": ("eval", "score a model on benchmarks, or grade completions again"),
    "compare": ("eval.compare", "compare runs: accuracies, differences, costs"),
    "study": ("eval.study", "make the study's tables and figures again, or check them"),
    "entanglement": ("diagnostics.entanglement", "where gradients of chosen and rejected entangle"),
    "extrapolation": ("diagnostics.extrapolation", "whether the policy went where it was forecast"),
    "data": ("train.dataset_report", "show what data are read as, before training on them"),
    "rollouts": ("train.rollouts", "sample and grade rollouts to train on"),
    "worked-answers": ("train.worked_answers", "worked answers to warm up a small model with"),
    "merge": ("train.merge", "write a model with its LoRA adapter added to its weights"),
    "memory": ("train.memory", "compute the memory that training needs"),
    "list": ("objectives", "show the objectives and their hyper-parameters"),
}


def program(module: str) -> str:
    """Return how a command is called: `python -m MODULE`, or by its name after `zoo`.

    `zoo` runs commands in its own process, in which it is what `sys.argv` begins with.
    """
    names = {own: name for name, (own, _) in COMMANDS.items()}
    called_by_zoo = sys.argv[0] == "zoo" and module in names
    return f"zoo {names[module]}" if called_by_zoo else f"python -m {module}"


def version_text() -> str:
    """Return the version that is installed, or that none is."""
    try:
        return f"{DISTRIBUTION} {version(DISTRIBUTION)}"
    except PackageNotFoundError:
        return f"{DISTRIBUTION}, not installed: run from a folder of its source"


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors of one line."""

    def __init__(self, module: str, about: str | None, **options: Any):
        """module: the command's. about: what it does, such as its docstring's first line."""
        description = (about or "").split("\n")[0]
        options = {"prog": program(module), "description": description, **options}
        super().__init__(allow_abbrev=False, **options)
        self.add_argument("--version", action=_Version, nargs=0, help="show it, and stop")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see --help)")


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any):
        hidden = argparse.SUPPRESS  # it is no value that a command reads
        super().__init__(option_strings, hidden, default=hidden, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        print(version_text())
        parser.exit()
