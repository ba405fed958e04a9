"""What all commands have: their name, `--version`, and one clear line for a word that is wrong."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from objectives.errors import InputError

DISTRIBUTION = "objective-zoo"


def program(module: str) -> str:
    """Return how the running command is called: `python -m MODULE`, or as the command `zoo` does.

    `zoo` runs a module in its own process, and then is what `sys.argv` begins with.
    """
    called = sys.argv[0]
    return called if called.startswith("zoo ") else f"python -m {module}"


def version_text() -> str:
    """Return the version that is installed, or that none is."""
    try:
        return f"{DISTRIBUTION} {version(DISTRIBUTION)}"
    except PackageNotFoundError:
        return f"{DISTRIBUTION}, not installed: run from a folder of its source"


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors of one line."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)
        if self.add_help:
            self.add_argument("--version", action=_Version, nargs=0, help="show it, and stop")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see --help)")


class _Version(argparse.Action):
    def __init__(self, **options: Any):
        super().__init__(**options | {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS})

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        print(version_text())
        parser.exit()
