"""One cell of a row, checked: a number, a truth value, text, token ids, what a template takes."""

import json
from collections.abc import Hashable
from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np

from objectives.errors import InputError

LARGEST = 1e15  # of a reward or weight: sums of squares of many must stay finite in float32
MOST_IDS = 2**31  # ids are kept in 32 bits
TAKEN = (  # by apply_chat_template itself, or by columns of their own
    "conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors",
    "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs",
)  # fmt: skip


def refused(where: str, column: str, value: Any, expected: str) -> InputError:
    """Return the line that says what a cell holds and what was expected there."""
    return InputError(f"{where}: {column} is {_shown(value)}, expected {expected}")


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than 30 digits"  # which Python may refuse to write out
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def number(where: str, column: str, value: Any, least: float = -LARGEST) -> float:
    """Return a number between `least` and LARGEST; raises InputError for another or none."""
    if isinstance(value, np.generic | Decimal):
        value = value.item() if isinstance(value, np.generic) else float(value)
    if isinstance(value, bool | int | float) and least <= value <= LARGEST:
        return float(value)
    expected = f"a finite number of at most {LARGEST:g} either way"
    if least == 0:
        expected = f"a number from 0 to {LARGEST:g} (what is bad has a low reward, not weight)"
    elif isinstance(value, int | float) and abs(value) > LARGEST:
        expected += ": scale all of them down"
    raise refused(where, column, value, expected)


def weight(where: str, row: dict) -> float:
    """Return a row's factor, 1 where it has none; raises InputError for one below 0."""
    value = row.get("weight")
    return 1.0 if value is None else number(where, "weight", value, least=0)


def truth(where: str, column: str, value: Any) -> bool:
    """Return true or false, which 1 and 0 stand for; raises InputError for anything else."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    raise refused(where, column, value, "true or false")


def truncated(where: str, row: dict) -> bool:
    """Return whether a row says that its completion was cut off; raises InputError as `truth`."""
    value = row.get("truncated")
    if value is None:
        return False
    # A column with gaps becomes one of floats in pandas.
    return truth(where, "truncated", int(value) if value in (0.0, 1.0) else value)


def text(value: str | bytes) -> str:
    """Return text without halves of characters, which no tokenizer takes: U+FFFD instead."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def missing(value: Any) -> bool:
    """Say whether a cell of text or a name holds nothing: a gap is NaN in pandas."""
    return value is None or (isinstance(value, float) and value != value)


def group(where: str, value: Any) -> Any:
    """Return what rollouts of one problem have in common; raises InputError for a list."""
    if isinstance(value, Hashable):
        return value
    raise refused(where, "group_id", value, "a number or text")


def token_ids(where: str, value: Any) -> list[int] | None:
    """Return a completion's ids as they were sampled, None where the row has none."""
    if missing(value):
        return None
    if isinstance(value, list):
        value = [i.item() if isinstance(i, np.integer) else i for i in value]
    whole = isinstance(value, list) and all(type(i) is int for i in value)
    if whole and all(0 <= i < MOST_IDS for i in value):
        return value
    raise refused(where, "completion_ids", value, "a list of token ids")


def plain(value: Any) -> Any:
    """Return a value as templates and JSON take it: dates as text, no halves of characters."""
    if isinstance(value, str | bytes):
        return text(value)
    if isinstance(value, dict):
        return {text(str(name)): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    return float(value) if isinstance(value, Decimal) else value


def template_arguments(where: str, row: dict) -> dict[str, Any]:
    """Return what a row has for the chat template besides messages; empty for none.

    Columns tools and documents are lists, chat_template_kwargs an object; JSON text of these too.
    Raises InputError for others, and for an argument that is not the template's.
    """
    found: dict[str, Any] = {}
    for column in ("tools", "documents"):
        value = _unpacked(row.get(column))
        if missing(value) or value == []:
            continue
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise refused(where, column, value, "a list of objects")
        found[column] = plain(value)
    more = _unpacked(row.get("chat_template_kwargs"))
    if missing(more):
        return found
    if not isinstance(more, dict):
        raise refused(where, "chat_template_kwargs", more, "an object")
    for name in more:
        if name in TAKEN:
            raise InputError(f"{where}: chat_template_kwargs has {name}, which is no argument of "
                             f"a template")  # fmt: skip
    return {**found, **plain(more)}


def _unpacked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
