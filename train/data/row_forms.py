"""Rows in the forms of other tools, brought into ours: columns, messages, and text in parts."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from objectives.errors import InputError
from train.data.cells import refused

TEXTS = ("prompt", "completion", "chosen", "rejected", "messages")
# What the columns are called elsewhere: UltraFeedback, Orca's pairs, ShareGPT, and others.
OTHER_NAMES = {
    "prompt": ("instruction", "question", "problem", "query", "input"),
    "completion": ("response", "output"),
    "chosen": ("chosen_response",),
    "rejected": ("rejected_response",),
    "messages": ("conversations", "conversation"),
}
SPEAKERS = {  # of ShareGPT's messages
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant",
    "assistant": "assistant", "model": "assistant", "system": "system", "tool": "tool",
    "observation": "tool", "function_response": "tool",
}  # fmt: skip
TEXT_PARTS = (None, "text", "input_text", "output_text")  # types of parts that are text
PYTHONS = re.compile(r"\s*\[\{'(role|content|from|value)':")  # notation, where JSON has quotes


def other_names(name: str, columns: Sequence[str]) -> dict[str, str]:
    """Return which column stands for which of ours that is missing, ours by theirs.

    name: what messages call the source. Raises InputError where several could be the prompt, or
    the completion.
    """
    there = set(columns)
    found: dict[str, str] = {}
    if {"chosen_response", "rejected_response"} <= there and not {"chosen", "rejected"} & there:
        found = {"chosen_response": "chosen", "rejected_response": "rejected"}
    paired = bool(found) or {"chosen", "rejected"} <= there
    if not paired and "messages" not in there:
        for other in OTHER_NAMES["messages"]:
            if other in there and "completion" not in there:
                return {other: "messages"}
    if not paired and not {"messages", "completion"} & there:
        found |= _one_of(name, "completion", there)
    if "prompt" not in there and (paired or {"completion"} & (there | set(found.values()))):
        found |= _one_of(name, "prompt", there)
    return found


def _one_of(name: str, ours: str, there: set[str]) -> dict[str, str]:
    found = [other for other in OTHER_NAMES[ours] if other in there]
    if len(found) > 1:
        raise InputError(
            f"{name}: the {ours} may be in column {' or '.join(found)}: call the one that it is in "
            f"{ours}"
        )
    return dict.fromkeys(found, ours)


def in_our_form(where: str, row: dict, names: Mapping[str, str]) -> dict:
    """Return a row with our names of its columns, and messages with `role` and text as `content`.

    names: as `other_names` returns them. Messages may be ShareGPT's (`from`, `value`), or JSON
    text; their content may be a list of parts, if these are text. Raises InputError naming row and
    column for parts that are none, and for messages in Python's notation.
    """
    row = {names.get(column, column): value for column, value in row.items()}
    for column in TEXTS:
        if isinstance(row.get(column), str):
            row[column] = _unpacked(where, column, row[column])
        if isinstance(row.get(column), list):
            row[column] = [
                _message(f"{where}: {column} message {number}", entry)
                for number, entry in enumerate(row[column], 1)
            ]
    return row


def _unpacked(where: str, column: str, text: str) -> Any:
    """Return the messages that a text spells, or the text."""
    if not text.lstrip().startswith("[{"):
        return text
    if PYTHONS.match(text):
        raise InputError(
            f"{where}: {column} is {text.strip()[:40]}..., messages in Python's notation, expected "
            f"JSON (json.dumps instead of str)"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    every = isinstance(value, list) and all(
        isinstance(entry, dict) and ("role" in entry or "from" in entry) for entry in value
    )
    return value if every else text


def _message(what: str, entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    if entry.get("role") is None and isinstance(entry.get("from"), str) and "value" in entry:
        if entry["from"] not in SPEAKERS:
            raise refused(what, "from", entry["from"], f"one of {', '.join(SPEAKERS)}")
        rest = {k: v for k, v in entry.items() if k not in ("role", "content", "from", "value")}
        entry = {"role": SPEAKERS[entry["from"]], "content": entry["value"], **rest}
    content = entry.get("content")
    if isinstance(content, list) and content:
        return {**entry, "content": "".join(_part(what, part) for part in content)}
    return entry


def _part(what: str, part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") in TEXT_PARTS:
        text = part.get("text")
        if isinstance(text, str):
            return text
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise InputError(f"{what}: content has a part of type {kind!r:.40}, expected text alone")


def listed(value: Any) -> Any:
    """Return arrays and tuples as lists, at any depth, as Parquet read by pandas has them."""
    if isinstance(value, np.ndarray):
        return listed(value.tolist())
    if isinstance(value, list | tuple):
        return [listed(entry) for entry in value]
    if isinstance(value, dict):
        return {name: listed(entry) for name, entry in value.items()}
    return value
