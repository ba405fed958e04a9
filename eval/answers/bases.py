"""Numbers in a base other than ten, as `101_2`."""

import re
from typing import NamedTuple

NAMES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
         "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16, "binary": 2, "octal": 8,
         "decimal": 10, "hexadecimal": 16, "hex": 16}  # fmt: skip
DIGITS = (
    r"(?P<sign>-?)\s*\(?\s*"
    r"(?P<digits>\d[0-9A-Fa-f]*(?:\.[0-9A-Fa-f]+)?|[A-Fa-f]+\d[0-9A-Fa-f]*)\s*\)?"
)
BASE = r"(?P<base>\d{1,2}|[a-z]+)"
FORMS = [
    re.compile(DIGITS + r"_\s*\{?\s*\(?\s*(?:base\s*)?" + BASE + r"\s*\)?\s*\}?", re.IGNORECASE),
    re.compile(DIGITS + r"\s*\(?\s*(?:in )?\s*base[ -]*" + BASE + r"\s*\)?", re.IGNORECASE),
]
LETTERS = re.compile(r"(?P<sign>-?)(?P<digits>[A-F]+)_\s*\{?\s*(?P<base>16|12|hex)\s*\}?")
PREFIXED = re.compile(r"(?P<sign>-?)0(?P<kind>[xXbBoO])(?P<digits>[0-9A-Fa-f]+)")
PLAIN = re.compile(r"-?\d[0-9A-Fa-f]*|[A-Fa-f]*\d[0-9A-Fa-f]*")
ASKS = re.compile(r"\bbase\b|\bbinary\b|\boctal\b|\bhexadecimal\b|_\{?\d|\bbase-", re.IGNORECASE)


class Numeral(NamedTuple):
    """Digits, without leading zeros, in a base."""

    digits: str
    base: int

    def value(self) -> int | None:
        """Return the number; None where a digit is none of the base, or has a fraction."""
        try:
            return int(self.digits, self.base)
        except ValueError:
            return None


def numeral(text: str) -> Numeral | None:
    """Return the numeral with a base that a spelled answer is, None for another."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip()
    if found := PREFIXED.fullmatch(text):
        base = {"x": 16, "b": 2, "o": 8}[found["kind"].lower()]
        return Numeral(_bare(found["sign"], found["digits"]), base)
    text = re.sub(r"(?<=\d)\s+(?=\d)", "", text)
    for form in FORMS:
        if found := form.fullmatch(text) or LETTERS.fullmatch(text):
            written = found["base"].lower()
            base = int(written) if written.isdigit() else NAMES.get(written)
            if base is not None and 2 <= base <= 36:
                return Numeral(_bare(found["sign"], found["digits"]), base)
    return None


def same_numeral(gold: str, answer: str, question: str) -> bool | None:
    """Tell whether two spelled answers are one numeral; None where neither has a base.

    A base that one side does not name is the other's where the gold answer names it or the
    question speaks of bases; else it is ten.
    """
    expected, found = numeral(gold), numeral(answer)
    if expected is None and found is None:
        return None
    if expected and found:
        return expected == found
    if expected:
        return bool(PLAIN.fullmatch(answer)) and _plain(answer) == expected.digits
    assert found is not None
    if not PLAIN.fullmatch(gold):
        return None
    if ASKS.search(question):
        return _plain(gold) == found.digits
    return re.fullmatch(r"-?\d+", gold) is not None and int(gold) == found.value()


def _plain(text: str) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return _bare(sign, digits)


def _bare(sign: str, digits: str) -> str:
    return sign + (digits.upper().lstrip("0") or "0")
