"""What is said of each objective, its flags and their help, without its function.

A function needs torch, which takes seconds to import. `catalogue.json` has what is said of every
objective of this project, so that a command line is read, and a mistake in it answered, at once;
`python -m objectives.write_catalogue` writes it anew after one was added or changed.
"""

import functools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from objectives.command import program
from objectives.errors import InputError
from objectives.spelling import did_you_mean

if TYPE_CHECKING:
    from objectives.entry import Objective

FILE = Path(__file__).with_name("catalogue.json")
ENTRY_POINTS = "objective_zoo.objectives"  # the group in which packages name theirs
FUTURE, GUARD = "fpa_", "guarded_"  # what names of forms begin with
KINDS = {
    "bool": bool,
    "int": int,
    "float": float,
    "int | None": int | None,
    "float | None": float | None,
}


class Entry(NamedTuple):
    """What the catalogue has of an objective, as the properties of Objective have it."""

    name: str
    unit: str
    needs: tuple[str, ...]
    summary: str
    base: str | None
    settings: Mapping[str, Any]
    kinds: Mapping[str, Any]
    defaults: Mapping[str, Any]
    help: Mapping[str, str]


class Catalogue(Mapping[str, "Entry | Objective"]):
    """What is said of objectives, by name; it has those of OBJECTIVES, in its order.

    Of this project's it is an Entry; of others, for which OBJECTIVES is asked, the Objective.
    """

    @functools.cached_property
    def _ours(self) -> dict[str, Entry]:
        return _read(FILE.read_text(encoding="utf-8"))

    def __getitem__(self, name: str) -> "Entry | Objective":
        return self._ours.get(name) or _registry()[name]

    def __iter__(self) -> Iterator[str]:
        if _registry_is_loaded():  # there may be registered ones
            return iter(_registry())
        return (name for name in self._ours if GUARD not in name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(self, name: str) -> "Entry | Objective":
        """Return what is said of an objective, as OBJECTIVES.find returns the objective.

        Raises InputError as that does.
        """
        if name in self._ours:
            return self._ours[name]
        if ":" in name or _registry_is_loaded() or entry_points(group=ENTRY_POINTS):
            return _registry().find(name)
        raise unknown(name, self)


def unknown(name: str, known: Iterable[str]) -> InputError:
    """Return what to raise for a name that is no objective's, with the near ones.

    known: those that there are, without those with the likelihood guard.
    """
    known = list(known)
    near = did_you_mean(name, [*known, *(GUARD + other for other in known)])
    return InputError(
        f"{name}: no objective has this name{near}; {program('train')} --list shows all, and one "
        f"of your own is named my_package.module:function or my_file.py:function"
    )


def _registry_is_loaded() -> bool:
    return "objectives.registry" in sys.modules


def _registry() -> Any:
    from objectives.registry import OBJECTIVES  # torch

    return OBJECTIVES


def _read(text: str) -> dict[str, Entry]:
    written = json.loads(text)
    flags = written["flags"]
    return {name: _entry(name, own, flags) for name, own in written["objectives"].items()}


def _entry(name: str, own: dict[str, Any], every: list[dict[str, Any]]) -> Entry:
    flags = {every[number]["name"]: every[number] for number in own["flags"]}
    settings = {word: flags[word]["default"] for word in own["settings"]}
    return Entry(
        name,
        own["unit"],
        tuple(own["needs"]),
        own["summary"],
        own["base"],
        settings,
        {word: _kind(flag["kind"]) for word, flag in flags.items() if flag["kind"] is not None},
        {word: flag["default"] for word, flag in flags.items()},
        {word: flag["help"] for word, flag in flags.items()},
    )


def _kind(written: str | list[str]) -> Any:
    return KINDS[written] if isinstance(written, str) else Literal[tuple(written)]


CATALOGUE = Catalogue()
