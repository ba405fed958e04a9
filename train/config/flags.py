"""Command-line flags from dataclass fields."""

import argparse
import types
from dataclasses import Field, field, fields
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from objectives.errors import InputError


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
