"""Values of settings by their annotations: read from text, and what others give held to them."""

import argparse
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

LARGEST = 2**63  # whole numbers are below it: seeds and sizes go to libraries that have 64 bits
KINDS = {bool: "true or false", int: "a whole number, below 2^63", float: "a number", str: "text"}
METAVARS = {bool: "true|false", int: "N", float: "NUMBER", str: "TEXT"}


def without_none(annotation: Any) -> Any:
    """Return `kind` of an annotation `kind | None`, and any other annotation as it is."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(inner for inner in get_args(annotation) if inner is not types.NoneType)
    return annotation


def conversion(annotation: Any) -> tuple[Callable[[str], Any], tuple | None]:
    """Return the function that reads a flag's text, and the choices where they are limited."""
    kind = without_none(annotation)
    if kind is not annotation:
        convert, choices = conversion(kind)
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


def metavar_of(annotation: Any) -> str:
    """Return what --help shows as wanted: the choices, or the kind in a word."""
    kind = without_none(annotation)
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else METAVARS[kind]


def fits(annotation: Any, value: Any) -> bool:
    """Say whether a value is of an annotation's kind; a whole number, if not huge, is a number."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(fits(inner, value) for inner in get_args(annotation))
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    if annotation is types.NoneType:
        return value is None
    if isinstance(value, bool):  # which Python counts as an int
        return annotation is bool
    if isinstance(value, int) and abs(value) >= LARGEST:
        return False
    return isinstance(value, int | float if annotation is float else annotation)


def expected(annotation: Any) -> str:
    """Return in words what `fits` an annotation."""
    kind = without_none(annotation)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    return KINDS[kind]
