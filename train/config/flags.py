"""Command-line flags from dataclass fields: their bounds, and the groups of --help."""

import argparse
import inspect
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import Field, field, fields
from typing import Any, Literal, get_args

from objectives import command
from objectives.errors import InputError
from objectives.spelling import did_you_mean
from train.config.other_names import answer_other_name
from train.config.values import conversion, expected, fits, metavar_of, without_none

# What another value of a setting changes of a run.
Change = Literal[
    "training",  # what is trained
    "figures",  # what is measured on the way, and the last digits of what is trained
    "nothing",  # where it is written and how it is kept
]


class Parser(command.Parser):
    """A command's parser: `--some_flag` means `--some-flag`, and unknown flags get an answer."""

    def __init__(self, module: str, about: str | None, **options: Any):
        super().__init__(module, about, formatter_class=_HelpFormatter, **options)

    @property
    def flags(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._spelt(word) for word in words], namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            answer_other_name(rest[0], self.flags)
            near = did_you_mean(rest[0], self.flags)
            raise InputError(f"unrecognized arguments: {' '.join(rest)} (see --help){near}")
        return found

    def _spelt(self, word: str) -> str:
        name, equals, value = word.partition("=")
        ours = name.replace("_", "-")
        return ours + equals + value if name.startswith("--") and ours in self.flags else word


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something: where it is None the text says what that means."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default == "":
            return action.help
        return super()._get_help_string(action)


def flag(
    default: Any,
    text: str,
    metavar: str | None = None,
    *,
    above: float | None = None,
    least: float | None = None,
    changes: Change = "training",
) -> Any:
    """Return a dataclass field with a default, and the help text and bounds of its flag.

    metavar: what is wanted, in capitals, by default as the type has it. above, least: bounds that
    `check` holds a value to, unless it is None. changes: what another value changes of a run.
    """
    about = {"help": text, "metavar": metavar, "above": above, "least": least, "changes": changes}
    return field(default=default, metadata=about)


def check(settings: Any) -> None:
    """Raise InputError for a field of `flag` of another kind, not finite, or out of its bounds."""
    for entry in flagged(settings):
        value, above, least = (
            getattr(settings, entry.name), entry.metadata["above"], entry.metadata["least"],
        )  # fmt: skip
        if not fits(entry.type, value):
            what = f"{flag_name(entry.name)} {value!r:.60}"
            raise InputError(f"{what}: expected {expected(entry.type)}")
        if value is None:
            continue
        if above is not None and not value > above:
            raise InputError(f"{flag_name(entry.name)} {value}: must be above {above:g}")
        if least is not None and not value >= least:
            raise InputError(f"{flag_name(entry.name)} {value}: must be {least:g} or more")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{flag_name(entry.name)} {value}: must be a finite number")


def flagged(settings: Any) -> list[Field]:
    """Return the fields that are flags of a dataclass, or of one of its instances.

    The others are set by whoever makes it.
    """
    return [entry for entry in fields(settings) if entry.metadata]


def unchanging(settings: type, change: Change) -> set[str]:
    """Return the names of the settings that do not change as much of a run as `change` says.

    "training": all that leave what is trained as it is; "figures": those that change nothing.
    """
    order = get_args(Change)
    later = order[order.index(change) + 1 :]
    return {entry.name for entry in flagged(settings) if entry.metadata["changes"] in later}


def add_flags(parser: Parser, settings: type) -> None:
    """Add a flag for every field of a dataclass made with `flag`.

    The fields of each class that it inherits from are a group of --help, titled by the first line
    of the class's docstring.
    """
    for title, entries in _groups(settings):
        place = parser if title is None else parser.add_argument_group(title)
        for entry in entries:
            _add_flag(place, entry)


def _groups(settings: type) -> Iterator[tuple[str | None, list[Field]]]:
    by_name = {entry.name: entry for entry in flagged(settings)}
    for owner in reversed(settings.__mro__):
        entries = [by_name[n] for n in inspect.get_annotations(owner) if n in by_name]
        if entries:
            title = (inspect.getdoc(owner) or "").split("\n")[0].removesuffix(".")
            yield None if owner is settings else title, entries


def _add_flag(place: Any, entry: Field) -> None:
    name, kind = flag_name(entry.name), without_none(entry.type)
    convert, choices = conversion(entry.type)
    options = {"nargs": "?", "const": True} if kind is bool else {}
    metavar = entry.metadata["metavar"] or metavar_of(kind)
    place.add_argument(
        name, type=convert, choices=choices, default=entry.default, metavar=metavar,
        help=entry.metadata["help"], **options,
    )  # fmt: skip


def peek(words: Sequence[str], name: str) -> str | None:
    """Return the value that words give a flag, before they are all read; None where they do not."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="value", nargs="?")
    return parser.parse_known_args(words)[0].value


def flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def from_flags(settings: type, arguments: argparse.Namespace, **others: Any) -> Any:
    """Return the dataclass filled from parsed flags, and from `others`, which have none."""
    return settings(**{e.name: getattr(arguments, e.name) for e in flagged(settings)}, **others)
