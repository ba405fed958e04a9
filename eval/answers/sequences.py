"""Lists, sets, tuples, matrices and intervals entry by entry, and sequences with dots."""

import re
from itertools import pairwise, product
from typing import NamedTuple

from eval.answers.numbers import number

DOTS = "\\ldots"
BRACKETS = {"(": ")", "[": "]", "\\{": "\\}"}
OPENING = re.compile(r"\\[{(\[]|[(\[{]")
CLOSING = re.compile(r"\\[})\]]|[)\]}]")
WORDS = re.compile(r"\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")
MATRIX = re.compile(r"\\begin\{([bpvVB]?matrix|array)\}(?:\{[^{}]*\})?(.*?)\\end\{\1\}", re.DOTALL)
SIGN = re.compile(r"\\(pm|mp)(?![A-Za-z])\s*")
MOST_SIGNS = 3
MOST = 200  # entries
MOST_UNORDERED = 40  # each is compared with each


class Entries(NamedTuple):
    """The entries of a list, and the brackets around them ("" for none)."""

    opening: str
    closing: str
    entries: list[str]

    @property
    def ordered(self) -> bool:
        return self.opening not in ("", "\\{")


def entries(text: str) -> Entries | None:
    """Return the entries of a spelled answer, None where it is no list."""
    text, opening, closing = text.strip(), "", ""
    for left in BRACKETS:
        if text.startswith(left) and _closes_at_end(text, len(left)):
            right = CLOSING.search(text, _last_closing(text))
            if right is None:
                break
            opening, closing = left, right[0]
            text = text[len(left) : right.start()].strip()
            break
    ordered = opening not in ("", "\\{")
    if ordered and ("\\pm" in text or "\\mp" in text):
        values = both_signs(f"{opening}{text}{closing}")
        return Entries("", "", values) if len(values) > 1 else None
    parts = split(WORDS.sub(",", text) if not opening or opening == "\\{" else text)
    parts = [value for part in parts if part for value in both_signs(part)]
    if len(parts) < 2 and opening != "\\{":
        return None
    return Entries(opening, closing, parts) if parts else None


def both_signs(text: str) -> list[str]:
    r"""Return the two values of `1 \pm \sqrt{2}`, four of two signs; the text itself without any.

    Where `\mp` stands beside it, all signs go together.
    """
    signs = SIGN.findall(text)
    if not signs or len(signs) > MOST_SIGNS:
        return [text]
    if "mp" in signs:
        choices = [[sign == "pm" for sign in signs], [sign != "pm" for sign in signs]]
    else:
        choices = product((True, False), repeat=len(signs))
    values = []
    for choice in choices:
        left = iter(choice)
        values.append(SIGN.sub(lambda _, left=left: "+" if next(left) else "-", text))
    return [re.sub(r"^(\\?[({\[]?)\s*\+", r"\1", value) for value in values]


def split(text: str, separators: str = ",;") -> list[str]:
    """Split a text at separators outside of all brackets."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        if found := OPENING.match(text, at):
            depth += 1
            at = found.end()
        elif found := CLOSING.match(text, at):
            depth -= 1
            at = found.end()
        elif text[at] in separators and depth == 0:
            parts.append(text[start:at].strip())
            at = start = at + 1
        else:
            at += 2 if text[at] == "\\" else 1
    return [*parts, text[start:].strip()]


def matrix(text: str) -> list[list[str]] | None:
    """Return the rows of a spelled matrix, None for another answer."""
    found = MATRIX.fullmatch(text.strip().removeprefix("[").removesuffix("]").strip()) or (
        MATRIX.fullmatch(text.strip().removeprefix("(").removesuffix(")").strip())
    )
    if found is None:
        return None
    rows = [row.strip() for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[2])]
    return [[cell.strip() for cell in row.split("&")] for row in rows if row]


def as_vector(text: str, other: str) -> str:
    """Return a matrix of one column or row as a tuple, where the other answer is one."""
    rows, listed = matrix(text), entries(other)
    if not rows or not listed or listed.opening != "(":
        return text
    cells = rows[0] if len(rows) == 1 else [row[0] for row in rows if len(row) == 1]
    return f"({', '.join(cells)})" if len(cells) == max(len(rows), len(rows[0])) else text


def has_dots(text: str) -> bool:
    return DOTS in text


def dotted(text: str) -> tuple[list[str], list[str]] | None:
    """Return the terms before and after the dots of `1, 2, \\ldots, n`; None for others."""
    listed = entries(text)
    if listed is None:
        for sign in ("+", "*"):
            if DOTS in (parts := split(text.replace("\\cdot ", "*"), sign)):
                break
        else:
            return None
    else:
        parts = listed.entries
    if parts.count(DOTS) != 1:
        return None
    at = parts.index(DOTS)
    return parts[:at], parts[at + 1 :]


def written_out(text: str) -> str | None:
    """Return a list of numbers with dots, `1, 3, \\ldots, 9`, with all its entries; else None."""
    terms, listed = dotted(text), entries(text)
    if terms is None or listed is None or len(terms[0]) < 2 or not terms[1]:
        return None
    first, last = ([number(term) for term in side] for side in terms)
    if None in first or None in last:
        return None
    values = [n.value for n in first]  # type: ignore[union-attr]
    end = [n.value for n in last]  # type: ignore[union-attr]
    step = values[1] - values[0]
    if not step or any(b - a != step for a, b in pairwise(values)):
        return None
    count = (end[-1] - values[0]) / step + 1
    if count.denominator != 1 or not len(values) <= count <= MOST:
        return None
    every = [values[0] + step * place for place in range(int(count))]
    if every[len(every) - len(end) :] != end:
        return None
    inside = ", ".join(str(value) for value in every)
    return f"{listed.opening}{inside}{listed.closing}"


def _closes_at_end(text: str, start: int) -> bool:
    """Tell whether the bracket before `start` is closed by the last one of the text."""
    depth, at = 1, start
    while at < len(text):
        if found := OPENING.match(text, at):
            depth += 1
        elif found := CLOSING.match(text, at):
            depth -= 1
        if depth == 0:
            return found is not None and found.end() == len(text)
        at = found.end() if found else at + 1
    return False


def _last_closing(text: str) -> int:
    return max((found.start() for found in CLOSING.finditer(text)), default=len(text))
