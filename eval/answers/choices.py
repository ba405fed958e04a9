"""Options of multiple choice: `C`, `(C)`, `\\textbf{(C)} 12`, `C. 12`."""

import re
from typing import NamedTuple

WRAPPED = re.compile(r"\\text\s*\{([^{}]*)\}\s*(.*)", re.DOTALL)
LETTER = r"(?P<letter>[A-J])"
OPTION = re.compile(
    r"(?:(?:option|choice)\s*:?\s*)?(?:\(\s*(?P<a>[A-Ja-j])\s*\)|(?P<b>[A-J])\s*[.):]"
    r"|(?P<c>[a-j])\)|(?P<d>[A-J])(?=\s*$))\s*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
ANOTHER = re.compile(  # the letter a may be an article
    r"[\^_!/*+=]|\\(?:cup|cap|cdot|times|in)\b|and\b|or\b"
    r"|,?\s*\(?(?![aA] (?!and\b|or\b)[a-z]{2})[A-Ja-j]\b"
)
SEVERAL = re.compile(r"[A-J](?:(?:,|;|&|and)+[A-J])+")
RUN = re.compile(r"[A-J]{2,10}")


class Option(NamedTuple):
    """An option's letter and what it says, "" where that is not given."""

    letter: str
    content: str


def option(text: str) -> Option | None:
    """Return the option that a spelled answer names, None where it names none."""
    wrapped = WRAPPED.fullmatch(text)
    if wrapped:
        text = f"{wrapped[1]} {wrapped[2]}".strip()
    found = OPTION.fullmatch(text.strip())
    if found is None:
        if wrapped and (bold := re.fullmatch(r"([A-J])\s+(?=[\d$-])(.*)", text, re.DOTALL)):
            return Option(bold[1], bold[2].strip())
        return None
    letter = next(found[name] for name in "abcd" if found[name])
    if found["d"] and not found["d"].isupper():
        return None  # a variable
    rest = found["rest"].strip()
    if ANOTHER.match(rest):
        return None  # the beginning of a formula or of several options
    return Option(letter.upper(), rest.lstrip(", "))


def options(text: str) -> frozenset[str] | None:
    """Return the letters of several options, as `A, C` or `(A) and (C)`; None for others."""
    bare = re.sub(r"\\text|[\s{}().$]|\\[{}]", "", text)
    return frozenset(re.findall("[A-J]", bare)) if SEVERAL.fullmatch(bare) else None


def letters(text: str) -> frozenset[str] | None:
    """Return the letters of `ACD`, which may be several options."""
    bare = re.sub(r"\\text|[\s{}().$]", "", text)
    in_order = RUN.fullmatch(bare) and list(bare) == sorted(set(bare))
    return frozenset(bare) if in_order else None
