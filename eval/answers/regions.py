r"""Sets of numbers given by conditions: `x < 1 \text{ or } 2 \le x < 3`, `x > 0, x < 5`."""

import re
from collections.abc import Callable
from typing import Any

from sympy import And, EmptySet, Intersection, Or, Set, Union
from sympy.core.relational import Relational

RELATION = re.compile(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])")
OR = re.compile(
    r"\\text\s*\{\s*,?\s*or\s*,?\s*\}|(?<![A-Za-z\\])or(?![A-Za-z])|\\(?:vee|lor|cup)(?![A-Za-z])"
)
AND = re.compile(
    r"\\text\s*\{\s*,?\s*and\s*,?\s*\}|(?<![A-Za-z\\])and(?![A-Za-z])"
    r"|\\(?:wedge|land|cap)(?![A-Za-z])|[,;]"
)


def region(text: str, read: Callable[[str], Any]) -> Set | None:
    """Return the set that several conditions on one variable leave; None for other answers.

    read: reads a condition. Those with "and" or a comma between them that exclude each other are
    of two parts of the set, as those with "or".
    """
    parts = [[side.strip(" {}") for side in AND.split(part)] for part in OR.split(text)]
    sides = [side for part in parts for side in part]
    if len(sides) < 2 or not all(map(RELATION.search, sides)):
        return None
    sets, names = [], set()
    for part in parts:
        read_sides = [read(side) for side in part]
        if not all(isinstance(value, (Relational, And, Or)) for value in read_sides):
            return None
        names |= {name for value in read_sides for name in value.free_symbols}
        if len(names) != 1:
            return None
        together = [value.as_set() for value in read_sides]
        both = Intersection(*together)
        sets.append(Union(*together) if both is EmptySet else both)
    return Union(*sets)
