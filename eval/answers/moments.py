"""Times of day and dates."""

import re

TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>[ap])\.?\s*m\.?", re.IGNORECASE
)
CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = (
    r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    r"(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?\b\.?"
)
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
YEAR = r"(?P<year>\d{4})"
DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        YEAR + r"-(?P<month>0?\d|1[012])-(?P<day>\d{1,2})",
        rf"{MONTH}\s*{DAY}(?:\s*,?\s*{YEAR})?",
        rf"(?:the\s+)?{DAY}\s+(?:of\s+)?{MONTH}(?:\s*,?\s*{YEAR})?",
    )
]
WEEKDAY = re.compile(r"^(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s*(?=\w)", re.IGNORECASE)


def same_moment(gold: str, answer: str) -> bool | None:
    """Tell whether two spelled answers are one time of day or one date; None where gold is none.

    A side without its half of the day, or without its year, has the other's.
    """
    gold, answer = _words(gold), _words(answer)
    for read in (_time, _date):
        expected, found = read(gold), read(answer)
        if expected is None or (found is None and read is _time and not TIME.fullmatch(gold)):
            continue
        if read is _time and not (TIME.fullmatch(gold) or TIME.fullmatch(answer)):
            continue  # 5:06 may be a ratio
        if found is None:
            return None if TIME.fullmatch(gold) and re.fullmatch(r"\d+", answer) else False
        return all(e == f for e, f in zip(expected, found, strict=True) if None not in (e, f))
    return None


def _words(text: str) -> str:
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\bnoon\b", "12:00 pm", text, flags=re.IGNORECASE)
    text = re.sub(r"\bmidnight\b", "12:00 am", text, flags=re.IGNORECASE)
    text = re.sub(r"(12(?::00)?)\s*12:00", "12:00", text)
    text = WEEKDAY.sub("", text.strip())
    return re.sub(r"\^\{?\s*(st|nd|rd|th)\s*\}?", r"\1", re.sub(r"\s+", " ", text)).strip(" .,")


def _time(text: str) -> tuple[int | None, ...] | None:
    """Return (half of the day, hour from 0 to 11, minute)."""
    if found := TIME.fullmatch(text):
        half = "ap".index(found["half"].lower())
        return half, int(found["hour"]) % 12, int(found["minute"] or 0)
    if found := CLOCK.fullmatch(text):
        hour = int(found["hour"])
        half = None if 1 <= hour <= 12 else hour // 12
        return half, hour % 12, int(found["minute"])
    return None


def _date(text: str) -> tuple[int | None, ...] | None:
    """Return (year, month, day)."""
    for form in DATES:
        if found := form.fullmatch(text):
            month = found["month"].lower()
            number = int(month) if month.isdigit() else MONTHS.index(month) + 1
            return int(found["year"]) if found["year"] else None, number, int(found["day"])
    return None
