"""Numbers in words: `seven`, `twenty-five`, `1.5 million`."""

import re

ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
        "nineteen")  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VALUES = {name: n for n, name in enumerate(ONES)} | {name: 10 * n for n, name in enumerate(TENS, 2)}
POWERS = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
TENS_AND_ONES = re.compile(rf"({'|'.join(TENS)})[ -]({'|'.join(ONES[1:10])})")
SCALED = re.compile(rf"(\d)\s*(\\text\s*\{{)?\s*({'|'.join(POWERS)})\b\s*", re.IGNORECASE)
NAME = re.compile(r"(?:\\text\s*\{)?\s*([A-Za-z -]+?)\s*\}?")


def without_words(text: str) -> str:
    """Return an answer with its numbers in digits."""
    name = NAME.fullmatch(text)
    if name:
        words = name[1].lower()
        if words in VALUES:
            return str(VALUES[words])
        if found := TENS_AND_ONES.fullmatch(words):
            return str(VALUES[found[1]] + VALUES[found[2]])
    return SCALED.sub(_scaled, text)


def _scaled(found: re.Match) -> str:
    return f"{found[1]}\\times 10^{{{POWERS[found[3].lower()]}}}{found[2] or ''} "
