"""Calls of tools in messages, in each of the forms that chat templates take them in."""

import json
from collections.abc import Iterator, Sequence
from typing import Any


def in_each_form(messages: Sequence[dict]) -> Iterator[list[dict]]:
    """Yield messages in each form that their calls of tools can have, the commonest first.

    Arguments are objects for most templates, and JSON text in OpenAI's own format. A turn that only
    calls tools has "" as its content for most, and for some none (transformers drops what is null).
    """
    shown: list[list[dict]] = []
    for arguments in (_as_object, _as_text):
        for content in ("", None):
            form = [_formed(message, arguments, content) for message in messages]
            if form not in shown:
                shown.append(form)
                yield form


def _formed(message: dict, arguments: Any, content: str | None) -> dict:
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return message
    formed = {**message, "tool_calls": [_call(call, arguments) for call in calls]}
    return formed if message.get("content") else {**formed, "content": content}


def _call(call: Any, arguments: Any) -> Any:
    """Return a call with other arguments, which it has itself or its function has."""
    if not isinstance(call, dict):
        return call
    if isinstance(call.get("function"), dict):
        return {**call, "function": _call(call["function"], arguments)}
    return {**call, "arguments": arguments(call["arguments"])} if "arguments" in call else call


def _as_object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, dict) else value


def _as_text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
