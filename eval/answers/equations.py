"""Answers that name what they are of: `x = 3`, `x = 1, y = 2`, `f(x) = x + 1`, `2 + 3 = 5`."""

import re

from eval.answers.numbers import number, same_rounded
from eval.answers.sequences import entries

D = r"(?:d|\\partial)(?![A-Za-z]{2})[^{}]*"
ASSIGNED = re.compile(
    rf"(?P<name>\\frac\s*\{{{D}\}}\s*\{{{D}\}}|[A-Za-z]'{{1,3}}|"
    r"\\?[A-Za-z]+(?:_\s*(?:\{[^{}]*\}|\w))?|\\text\s*\{[^{}]*\})\s*=\s*(?P<value>[^=<>]+)"
)
FUNCTION = re.compile(
    r"(?P<name>\\?[A-Za-z]+)\s*\(\s*(?P<variable>[A-Za-z])\s*\)\s*=\s*(?P<value>[^=<>]+)"
)
RELATION = re.compile(r"(?<![\\<>!])=|[<>]|\\(?:le|ge|ne|in|approx)(?![A-Za-z])")
EQUALS = re.compile(r"(?<![\\<>!])=")
CONSTANT = re.compile(r"\+\s*([cCkK])$")  # of integration
RESIDUE = re.compile(r"(?:[A-Za-z]\s*\\equiv\s*)?(?P<value>[^,=]+?)\s*\\pmod\{(?P<modulus>\w+)\}")
NEARLY = re.compile(r"\\approx(?![A-Za-z])")


def unassigned(gold: str, answer: str) -> tuple[str, str]:
    """Return both without `x =`, where one side has none or both name the same.

    A function's variable gets the gold one's name.
    """
    expected, found = FUNCTION.fullmatch(gold), FUNCTION.fullmatch(answer)
    if expected and found:
        return gold, _renamed(answer, expected["variable"], found["variable"])
    expected, found = ASSIGNED.fullmatch(gold), ASSIGNED.fullmatch(answer)
    if expected and found:
        same = expected["name"] == found["name"]
        return (expected["value"].strip(), found["value"].strip()) if same else (gold, answer)
    if found and not RELATION.search(gold):
        return gold, found["value"].strip()
    if expected and not RELATION.search(answer):
        return expected["value"].strip(), answer
    return gold, answer


def same_residue(gold: str, answer: str) -> bool | None:
    r"""Compare `x \equiv 3 \pmod{7}` with `3 (mod 7)`, and with 3 alone; None for others."""
    expected, found = RESIDUE.fullmatch(gold), RESIDUE.fullmatch(answer)
    if not expected and not found:
        return None
    values = [
        number(it["value"] if it else text) for it, text in ((expected, gold), (found, answer))
    ]
    if None in values:
        return None
    one, other = (value.value for value in values)  # type: ignore[union-attr]
    if not (expected and found):
        return one == other
    if expected["modulus"] != found["modulus"]:
        return False
    modulus = number(expected["modulus"])
    return one == other or bool(modulus and modulus.value and (one - other) % modulus.value == 0)


def one_constant(gold: str, answer: str) -> str:
    """Return the answer with the gold one's letter for the constant of integration."""
    expected, found = CONSTANT.search(gold), CONSTANT.search(answer)
    if not (expected and found):
        return answer
    letters = re.sub(r"\\[A-Za-z]+", "", gold + answer)
    alone = letters.count(expected[1]) == letters.count(found[1]) == 1
    return answer[: found.start(1)] + expected[1] if alone else answer


def ordered(text: str) -> str | None:
    """Return `x = 1, y = 2` as the tuple `(1, 2)`, by the names' order; None for others."""
    listed = entries(text)
    if listed is None or listed.opening:
        return None
    named = [ASSIGNED.fullmatch(entry) for entry in listed.entries]
    values = {found["name"]: found["value"].strip() for found in named if found}
    if not all(named) or len(values) < len(named):
        return None
    return f"({', '.join(values[name] for name in sorted(values))})"


def contradicts(text: str) -> bool:
    """Tell whether sides of an equation are different numbers, as in `5 = 6`."""
    values = [value for side in EQUALS.split(text) if (value := number(side))]
    return any(not same_rounded(values[0], value) for value in values[1:])


def nearly(text: str) -> list[str] | None:
    r"""Return the sides of `\sqrt{2} \approx 1.41` and `1/3 = 0.333`; None for others."""
    sides = [side.strip() for side in NEARLY.split(text)]
    if len(sides) == 1:
        sides = [side.strip() for side in EQUALS.split(text)]
        values = [number(side) for side in sides]
        if None in values or not any(value.decimal for value in values):  # type: ignore[union-attr]
            return None
    return sides if len(sides) > 1 and all(sides) else None


def _renamed(text: str, name: str, variable: str) -> str:
    if name == variable or re.search(rf"(?<!\\)\b{name}\b", text):
        return text
    parts = re.compile(rf"\\[A-Za-z]+|{variable}")
    return parts.sub(lambda found: name if found[0] == variable else found[0], text)
