"""Numbers in words, as `twenty-five` and `1.5 million`, and what has a sign of its own."""

import re

ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
        "nineteen")  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VALUES = {name: n for n, name in enumerate(ONES)} | {name: 10 * n for n, name in enumerate(TENS, 2)}
POWERS = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
SCALED = re.compile(rf"(\d)\s*(\\text\s*\{{)?\s*({'|'.join(POWERS)})\b\s*", re.IGNORECASE)
NAME = re.compile(r"(?:\\text\s*\{)?\s*([A-Za-z][A-Za-z -]*?)\s*\}?")
SAID_AGAIN = re.compile(r"(?P<digits>.*\d)\s*\(\s*(?P<words>[A-Za-z][A-Za-z -]*)\)")
WORDS = re.compile(r"(?:\\text\s*\{\s*)?(?P<words>[A-Za-z][A-Za-z .'-]*[A-Za-z.])\s*\}?\s*\.?")
SENTENCE = re.compile(
    r"(?=.*[A-Za-z]{2})[A-Za-z ,']*(?<![A-Za-z])\\?\$?(?P<number>-?\d+(?:,\d{3})*(?:\.\d+)?)"
    r"[A-Za-z ,']*\.?"
)
DOUBTS = re.compile(  # words that make of a number another, or none
    r"\b(?:not|or|if|unless|less|more|greater|fewer|larger|smaller|least|most|between|over|under|above"
    r"|below|up|than|such|example|like|twice|half|double|triple|maybe|perhaps|guess|sure|know|minus"
    r"|plus|times|mod|step|problem|case|question|percent|wrong|but|either|neither|both|except)\b|n't",
    re.IGNORECASE,
)
OF = r"(?: (?:solutions?|answers?|roots?|values?|numbers?|ways|pairs|triples|integers))?"
SIGNS = [
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (r"(?:there (?:is|are|exists?) )?no(?: (?:real|integer|valid|such|possible))* "
         r"(?:solutions?|roots?)(?: exists?| exist)?|none(?: exists?)?|(?:the )?empty set"
         r"|(?:the )?null set|(?:it )?has no (?:real )?(?:solutions?|roots?)|no(?: such)? "
         r"(?:integers?|numbers?|values?|functions?|pairs?|polynomials?)(?: exists?)?",
         r"\emptyset"),
        (r"(?:(?:the|this|it)(?: \w+)? )?(?:does not|doesn't|do not) exist|d\.?n\.?e\.?",
         r"\text{does not exist}"),
        (rf"(?:(?:there are )?infinitely many|an? infinite (?:number|amount)(?: of)?|infinite){OF}"
         r"|(?:positive )?infinity", r"\infty"),
        (r"(?:minus|negative) infinity", r"-\infty"),
        (r"(?:the set of )?(?:all )?(?:the )?(?:real numbers|reals)|all real(?: values| [a-z])?"
         r"|(?:every|any) real number", r"\mathbb{R}"),
    )
]  # fmt: skip


def in_signs(text: str) -> str:
    """Return an answer with its numbers in digits, and what means a sign, as `none`, as it."""
    if words := WORDS.fullmatch(text.strip()):
        said = " ".join(words["words"].split()).rstrip(".")
        for pattern, sign in SIGNS:
            if pattern.fullmatch(said):
                return sign
    if again := SAID_AGAIN.fullmatch(text):  # 5 (five)
        value = _value(again["words"].split())
        if value is not None and str(value) == again["digits"].strip():
            return str(value)
    name = NAME.fullmatch(text)
    if name and (counted := _counted(name[1])):
        return counted
    return SCALED.sub(_scaled, text)


def said(text: str) -> str | None:
    """Return the only number in a sentence, as of `She has 5 apples left`; None in doubt."""
    bare = " ".join(re.sub(r"\\text\s*\{([^{}]*)\}|\\ ", r" \1 ", text).split())
    found = SENTENCE.fullmatch(bare)
    if not found or DOUBTS.search(bare) or len(bare.split()) < 3:
        return None
    return found["number"].replace(",", "")


def _counted(text: str) -> str | None:
    """Return `three apples` as `3 \\text{ apples}`; None where it begins with no number."""
    words = text.replace("-", " ").split()
    for end in range(len(words), 0, -1):
        value = _value(words[:end])
        if value is not None:
            if end < len(words) and words[end].lower() in ("or", "and", "to", "if"):
                return None
            rest = " ".join(words[end:])
            return f"{value} \\text{{ {rest}}}" if rest else str(value)
    return None


def _value(words: list[str]) -> int | None:
    """Return the number that words such as `one hundred and five` say, None for others."""
    total, part, last = 0, None, 0
    for word in " ".join(words).lower().replace("-", " ").split():
        if word == "and":
            if not part or part % 100:
                return None
        elif word in VALUES:
            value = VALUES[word]
            ones = 0 < value < 10 and part is not None and part % 10 == 0 and part % 100 >= 20
            if part and part % 100 and not ones:
                return None
            part = (part or 0) + value
        elif word == "hundred" and part and part < 100:
            part *= 100
        elif word in POWERS and part and (not last or POWERS[word] < last):
            total, part, last = total + part * 10 ** POWERS[word], None, POWERS[word]
        else:
            return None
    return total + (part or 0) if words and words[-1].lower() != "and" else None


def _scaled(found: re.Match) -> str:
    return f"{found[1]}\\times 10^{{{POWERS[found[3].lower()]}}}{found[2] or ''} "
