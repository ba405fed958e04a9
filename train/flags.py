"""Command-line flags from dataclass fields and from objectives' hyper-parameters."""

import argparse
import types
from collections.abc import Sequence
from dataclasses import Field, field, fields
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from objectives import OBJECTIVES
from objectives.errors import InputError
from train.future_settings import FUTURE_FLAGS


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, like all other bad input."""

    def __init__(self, **options):
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter, **options
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see --help)")


def flag(default: Any, text: str) -> Any:
    """Return a dataclass field with a default and the help text of its flag."""
    return field(default=default, metadata={"help": text})


def add_flags(parser: Parser, settings: type) -> None:
    """Add a flag for every field of a dataclass made with `flag`."""
    for entry in fields(settings):
        if not entry.metadata:  # set by whoever makes it
            continue
        name = flag_name(entry.name)
        convert, choices = conversion(entry.type, name)
        text = entry.metadata["help"]
        alone = {"nargs": "?", "const": True} if entry.type is bool else {}
        parser.add_argument(
            name, type=convert, choices=choices, default=entry.default, help=text, metavar="X",
            **alone,
        )  # fmt: skip


def flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def from_flags(settings: type, arguments: argparse.Namespace, **others: Any) -> Any:
    """Return the dataclass filled from parsed flags, and from `others`, which have none."""
    names: list[Field] = [entry for entry in fields(settings) if entry.metadata]
    return settings(**{entry.name: getattr(arguments, entry.name) for entry in names}, **others)


def objective_names(text: str) -> list[str]:
    """Read names of objectives with commas between. Raises InputError for one that is none."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(f"--objective {name}: not one of {', '.join(OBJECTIVES)}")
    return names


def hyper_parameters(words: Sequence[str], objectives: Sequence[str]) -> dict[str, dict]:
    """Read what is left of a command line as hyper-parameters of the named objectives.

    Returns for each objective those of the given ones that it has. Raises InputError for a flag
    that none of them has, with a list of those they have.
    """
    known = {name: _own_flags(name) for name in objectives}
    given: dict[str, dict] = {name: {} for name in objectives}
    words = [part for word in words for part in _split(word)]
    while words:
        word = words.pop(0)
        name = word.removeprefix("--").replace("-", "_")
        owners = [o for o in objectives if name in known[o]]
        if not word.startswith("--") or not owners:
            own = sorted({flag_name(n) for flags in known.values() for n in flags})
            raise InputError(
                f"{word} is not a flag of {' or '.join(objectives)}, which has "
                f"{', '.join(own) or 'none of its own'} (see --help for those of every objective)"
            )
        if not words:
            raise InputError(f"{word} needs a value")
        convert, choices = conversion(known[owners[0]][name], word)
        text = words.pop(0)
        try:
            value = convert(text)
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise InputError(f"{word} {text}: {error}") from None
        if choices and value not in choices:
            raise InputError(f"{word} {text}: choose from {', '.join(map(str, choices))}")
        for owner in owners:
            given[owner][name] = value
    return given


def _split(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") and "=" in word else [word]


def _own_flags(objective: str) -> dict[str, Any]:
    entry = OBJECTIVES[objective]
    settings = {name: type(value) for name, value in entry.settings.items()}
    if "lam" in settings:
        settings |= FUTURE_FLAGS
    return {n: p.annotation for n, p in entry.hyper_parameters.items()} | settings


def conversion(annotation: Any, name: str) -> tuple[Any, tuple | None]:
    """Return the function that reads a flag's text, and the choices where they are limited."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        convert, choices = conversion(inner[0], name)
        return lambda text: None if text == "none" else convert(text), choices
    if get_origin(annotation) is Literal:
        return str, get_args(annotation)
    if annotation is bool:
        return _boolean, None
    return annotation, None


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError("expected true or false")
    return text.lower() == "true"
