"""All commands under the name `zoo`, which works beside a `train.py` or an `eval/` of one's own.

zoo train --objective fpa
zoo compare runs/*
zoo list fpa dpo
"""

import argparse
import runpy
import sys

from objectives.command import COMMANDS, Parser
from objectives.errors import InputError, command_line
from objectives.spelling import did_you_mean


def main() -> None:
    command_line(_run)


def _run() -> None:
    words = sys.argv[1:]
    name = words[0] if words else "--help"
    if name.startswith("-"):
        _parser().parse_args([name])
        return
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS)
        raise InputError(f"zoo {name}: not one of {', '.join(COMMANDS)}{near}")
    # As python -m does it, but found among what is installed, and not in the working folder.
    sys.argv = ["zoo", *words[1:]]
    runpy.run_module(COMMANDS[name][0], run_name="__main__")


def _parser() -> Parser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, (_, what) in COMMANDS.items()]
    return Parser(
        "train.zoo",
        None,
        prog="zoo",
        usage="zoo COMMAND [flags]",
        description="\n".join(["commands (zoo COMMAND --help shows their flags):", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    main()
