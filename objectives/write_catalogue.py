"""Write `catalogue.json` anew, after an objective was added or changed.

python -m objectives.write_catalogue
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from objectives.catalogue import FILE, FUTURE, GUARD, KINDS
from objectives.command import Parser
from objectives.errors import command_line
from objectives.whole_files import write_whole

if TYPE_CHECKING:
    from objectives.entry import Objective
    from objectives.registering import Registry


def catalogue(every: "Registry") -> str:
    """Return what the file is to hold: all flags, each once, and objectives with their numbers."""
    numbers: dict[str, int] = {}
    objectives = []
    for name in _names(every):
        entry = every[name]
        own = {
            "unit": entry.unit,
            "needs": entry.needs,
            "settings": list(entry.settings),
            "flags": [numbers.setdefault(flag, len(numbers)) for flag in _flags(entry)],
            "base": entry.base,
            "summary": entry.summary,
        }
        objectives.append(f"{_json(name)}: {_json(own)}")
    return f'{{"flags": [\n{_lines(numbers)}\n],\n"objectives": {{\n{_lines(objectives)}\n}}}}\n'


def _names(every: "Registry") -> Iterator[str]:
    yield from every
    for name in every:
        guarded = GUARD + name, FUTURE + GUARD + name
        yield from (form for form in guarded if form in every)


def _flags(entry: "Objective") -> Iterator[str]:
    for word, default in entry.defaults.items():
        kind = _written(entry.kinds[word]) if word in entry.kinds else None
        yield _json({"name": word, "kind": kind, "default": default, "help": entry.help[word]})


def _written(kind: Any) -> str | list[str]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return next(name for name, known in KINDS.items() if known == kind)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(parts: Any) -> str:
    return ",\n".join(parts)


def main() -> None:
    Parser("objectives.write_catalogue", __doc__).parse_args()

    from objectives.registry import OBJECTIVES

    write_whole(FILE, catalogue(OBJECTIVES))
    print(FILE)


if __name__ == "__main__":
    command_line(main)
