"""Numbers with units: `5 \\text{ cm}`, `\\$18`, `3 hours 20 minutes`, `25\\%`."""

import re
from fractions import Fraction
from typing import NamedTuple

from eval.answers.numbers import number
from eval.answers.units import Unit, unit

NUMBER = (
    r"[-+]?\s*(?:\\frac\s*\{[^{}]*\}\s*\{[^{}]*\}|(?:\d+(?:\.\d*)?|\.\d+)(?:\s*/\s*\d+(?:\.\d+)?)?)"
)
CURRENCY = re.compile(
    r"([-+]?)\s*(?:\\text\s*\{\s*)?((?:US)?\\?\$|[£€¥₹]|\\pounds?|\\euro|\\yen|USD|Rs\.?)\s*\}?\s*(?=[-+\d.\\(])(.*)",
    re.DOTALL,
)
SIGNS = {"\\pounds": "£", "\\pound": "£", "\\euro": "€", "\\yen": "¥", "Rs.": "Rs"}
DEGREES = r"\^\\circ(?:\s*\\text\s*\{\s*[CF]\s*\}|\s*[CF](?![A-Za-z]))?"
EXPONENT = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|\d))?"
UNIT_WORDS = (
    rf"(?:\\text\s*\{{[^{{}}]*\}}|[A-Za-z°€£¥₹.%]++|{DEGREES}|\\?\$|\\(?:mu|Omega)(?![A-Za-z]))"
    + EXPONENT
)
TRAILING = re.compile(
    r"(?P<number>.*?[\d)}!a-z])(?P<gap>(?:\s|\\ )*)"
    rf"(?P<unit>{UNIT_WORDS}(?:\s*(?:/|\\cdot|\*)?\s*{UNIT_WORDS})*)",
    re.DOTALL,
)
FRACTION = re.compile(  # m over s^2
    rf"\\frac\s*\{{\s*({UNIT_WORDS})\s*\}}\s*\{{\s*({UNIT_WORDS}(?:\s*(?:\\cdot)?\s*{UNIT_WORDS})?)\s*\}}$"
)
PERCENT = re.compile(
    r"(?P<number>.*?[^\s\\])\s*(?:\\?%|\\text\s*\{\s*(?:\\?%|percent|per cent|pct)\s*\}"
    r"|(?<![A-Za-z])(?:percent|per cent|pct)\.?)",
    re.DOTALL | re.IGNORECASE,
)
PIECE = re.compile(
    rf"(?P<number>{NUMBER})\s*(?P<unit>{UNIT_WORDS}|''|')\s*(?:,|and\b|\\text\s*\{{\s*(?:,|and)\s*\}})?\s*"
)
COUNTED = re.compile(
    r"(?:[A-Za-z]{4,}|(?!abc)[a-z]?[aeiou][a-z]{1,2}|[a-z]{2}[aeiouy])(?:\s+[A-Za-z]{2,})*"
)
MOST_CHARACTERS = 120  # of a number with its unit
LONE = re.compile(r"[A-Za-z]")
LIKELY = re.compile(r"[mgshLNJWK]")  # units rather than variables, after a space
# 5 \text{ or more} is not 5, nor is 5 \text{ if } n \text{ is even}.
CONDITIONS = re.compile(
    r"\b(?:or|if|unless|when|where|otherwise|else|not|than|but|except|wrong|plus|minus|times"
    r"|maybe|perhaps)\b",
    re.IGNORECASE,
)
MARKS = {"'": ("ft", "′"), "''": ("in", "″")}
MARKED = re.compile(r"(?P<number>[-+]?\d+(?:\.\d+)?)\s*(?P<mark>''?)")
CLOCK = re.compile(r"(\d+):([0-5]\d)(?::([0-5]\d))?")


class Quantity(NamedTuple):
    """A number, as text, and its unit; `percent` where it is of a hundred."""

    number: str
    unit: Unit | None = None
    percent: bool = False


def quantity(text: str, *, letters: bool = False) -> Quantity:
    """Return the number of a spelled answer apart from its unit; all of it where there is none.

    letters: take the m of 5m for a unit too, not for a factor. What is counted, as the apples of
    `5 \\text{ apples}`, goes as well, and is no unit.
    """
    if len(text) > MOST_CHARACTERS:
        return Quantity(text)
    if found := PERCENT.fullmatch(text):
        return Quantity(found["number"], percent=True)
    if found := CURRENCY.fullmatch(text):
        sign = found[2].replace("\\$", "$").removeprefix("US")
        rest = quantity(found[3])
        return Quantity(found[1] + rest.number, unit(SIGNS.get(sign, sign)))
    if found := MARKED.fullmatch(text):  # 30', feet and not degrees
        return Quantity(found["number"], unit(MARKS[found["mark"]][0]))
    over = FRACTION.search(text)
    if over and (letters or "\\text" in over[1]) and unit(f"{over[1]}/{over[2]}"):
        text = f"{text[: over.start()].strip()} {over[1]}/{over[2]}"
    found = TRAILING.fullmatch(text)
    if found is None or "," in found["number"] or re.fullmatch(r"[A-Za-z\s]*", found["number"]):
        return Quantity(text)
    likely = letters or (found["gap"] and LIKELY.fullmatch(found["unit"]))
    if CONDITIONS.search(found["unit"]) or (LONE.fullmatch(found["unit"]) and not likely):
        return Quantity(text)
    bare, measured = found["number"].strip(), unit(found["unit"])
    if measured or found["unit"].startswith("\\text"):
        return Quantity(bare, measured)
    counted = found["gap"] and COUNTED.fullmatch(found["unit"]) and number(bare)
    return Quantity(bare) if counted else Quantity(text)


def compound(text: str) -> list[tuple[Fraction, Unit]] | None:
    """Return the parts of `3 hours 20 minutes`, two or more of one kind; None for others."""
    if len(text) > MOST_CHARACTERS:
        return None
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(rf"\\?\$\s*({NUMBER})", r"\1 $ ", text).strip()
    pieces, at = [], 0
    while at < len(text):
        found = PIECE.match(text, at)
        if found is None or found.end() == at:
            return None
        value = number(found["number"])
        if value is None:
            return None
        after_hours = pieces and pieces[-1][1] == "h" and found["unit"] == "m"
        pieces.append((value.value, "min" if after_hours else found["unit"]))
        at = found.end()
    if len(pieces) < 2:
        return None
    degrees = "^\\circ" in pieces[0][1] or "deg" in pieces[0][1]
    parts = []
    for value, name in pieces:
        measured = unit(MARKS[name][degrees] if name in MARKS else name)
        if measured is None or measured.dimension != (parts[0][1].dimension if parts else
                                                      measured.dimension):  # fmt: skip
            return None
        parts.append((value, measured))
    if parts[0][0] < 0:
        parts = [parts[0], *((-value, measured) for value, measured in parts[1:])]
    return parts


def total(parts: list[tuple[Fraction, Unit]]) -> Fraction:
    return sum((value * measured.size for value, measured in parts), Fraction(0))


def same_compound(gold: str, answer: str) -> bool | None:
    """Tell whether spelled answers of which one has several units are equal; None for others.

    A side without any unit must be the other's number of one of its units, or a clock's reading
    of hours and minutes.
    """
    expected, found = compound(gold), compound(answer)
    if expected is None and found is None:
        return None
    if expected and found:
        alike = expected[0][1].dimension == found[0][1].dimension
        return alike and total(expected) == total(found)
    parts = expected or found or []
    other = answer if expected else gold
    whole, kind = total(parts), parts[0][1].dimension
    if kind == (("time", 1),) and (clock := CLOCK.fullmatch(other)):
        sizes = [part[1].size for part in parts]
        read = [int(digits) for digits in clock.groups() if digits]
        biggest = max(sizes)
        return whole == sum(n * biggest / 60**place for place, n in enumerate(read))
    single = quantity(other)
    value = number(single.number)
    if value is None or single.percent:
        return False
    if single.unit:
        return single.unit.dimension == kind and value.value * single.unit.size == whole
    # A bare gold answer leaves its unit to the question; a bare answer has left the rest out.
    return expected is None and any(value.value * unit.size == whole for _, unit in parts)
