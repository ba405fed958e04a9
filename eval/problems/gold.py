"""The gold answer in a cell of a table: without the worked solution or unit around it."""

import ast
import re
from typing import Any

from eval.answers.boxes import boxed_answer

GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
IN_BRACKETS = re.compile(r"[(\[{][^)\]}]*,")
WITH_UNIT = re.compile(r"(-?[\d.,/:]+) \(([^()\d]*)\)")
WORDS = re.compile(r"(?:\$|%|°?[A-Za-z][A-Za-z.°²³'-]+|[gmlLsh])(?:[ /]+[A-Za-z.²³'-]+)*")
SHORT = re.compile(r"[A-Za-z]{2}")  # two letters are a product where they are none of these
SHORT_UNITS = {"cm", "mm", "km", "nm", "kg", "mg", "ml", "mL", "cl", "dl", "lb", "oz", "ft", "in",
               "yd", "mi", "hr", "am", "pm", "KB", "MB", "GB", "TB"}  # fmt: skip
NO_UNIT = re.compile(r"\b(?:mod|pi|sin|cos|tan|log|ln|exp|sqrt)\b")
HELD = ("ground_truth", "value", "text", "answer")  # where an object has its answer
LIST = re.compile(r"\[\s*(['\"]).*\1\s*,?\s*\]", re.DOTALL)  # as another program printed it
WHOLE_FLOAT = re.compile(r"(-?\d+)\.0")


def gold_answer(value: Any) -> str:
    """Return a gold answer as text, without the worked solution around it; "" if there is none.

    Reads what follows GSM8K's `####`, the last box or list of boxes of a solution, the number
    before ASDiv's unit in brackets, a list's only or joined entries, the `ground_truth` of verl's
    `reward_model` or the `value`, `text` or `answer` of another object, and 43.0 as 43.
    """
    if isinstance(value, list) or hasattr(value, "tolist"):
        entries = value if isinstance(value, list) else value.tolist()
        entries = entries if isinstance(entries, list) else [entries]
        return ", ".join(filter(None, map(gold_answer, entries)))
    if isinstance(value, dict):
        return next(filter(None, (gold_answer(value.get(name)) for name in HELD)), "")
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = str(value).strip()
    if LIST.fullmatch(text) and (entries := _listed(text)):
        return gold_answer(entries)
    if "####" in text:
        after = text.rsplit("####", 1)[1].strip()
        return _without_groups(after.split("\n")[0].strip())
    boxed = boxed_answer(text, finished=True)
    if boxed is not None:
        return boxed
    with_unit = WITH_UNIT.fullmatch(text)
    if with_unit and _is_unit(with_unit[2].strip()):
        return with_unit[1]
    whole = WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text


def _listed(text: str) -> list[str]:
    """Return the entries of a list of texts as Python or JSON print it, none of other texts."""
    try:
        entries = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return entries if all(isinstance(entry, str) for entry in entries) else []


def _is_unit(text: str) -> bool:
    if SHORT.fullmatch(text):
        return text in SHORT_UNITS
    return bool(WORDS.fullmatch(text)) and not NO_UNIT.search(text)


def _without_groups(text: str) -> str:
    """Return a number without the commas between its groups of three digits.

    In brackets they stay: there they separate numbers of three digits just as well.
    """
    if IN_BRACKETS.search(text):
        return text
    return GROUPED.sub(lambda found: found[0].replace(",", ""), text)
