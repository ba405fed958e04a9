"""Files of JSON as they are found: read at one place, which says in one line what is wrong."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from objectives.errors import InputError


def parsed(
    text: str | bytes, where: str, kind: str = "JSON", loads: Callable[[Any], Any] = json.loads
) -> Any:
    """Return what JSON text says; raises InputError, naming `where`, for what is none.

    kind, loads: of another format, whose reader raises ValueError likewise.
    """
    try:
        return loads(text)
    except RecursionError:
        raise InputError(f"{where}: nested too deeply to be read") from None
    except ValueError as error:
        raise InputError(f"{where}: not {kind} ({error})") from None


def read_text(path: Path) -> str:
    """Return a file's text, UTF-8; raises InputError naming the file where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error})") from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises InputError naming the file where it cannot be read, or holds something else.
    """
    content = parsed(read_text(path), str(path))
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, not {shown(content)}")
    return content


def read_objects(path: Path, *, torn_end: bool = False) -> dict[int, dict[str, Any]]:
    """Return the objects of a JSON Lines file by their line, from 1; blank lines are passed over.

    torn_end: leave out a last line that an interruption cut off. Raises
    InputError naming the file, and the line that is no object.
    """
    # Not splitlines: a line separator of Unicode may stand in a text.
    lines = read_text(path).split("\n")
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parsed(line, f"{path} line {number}")
        except InputError:
            if torn_end and number == len(lines):  # after the last end of a line
                break
            raise
        if not isinstance(row, dict):
            raise InputError(f"{path} line {number}: expected a JSON object, not {shown(row)}")
        found[number] = row
    return found


def require(where: str, values: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise InputError, naming `where`, where one of `kinds` is missing or of another kind.

    kinds: of `isinstance`, by name; true and false are no numbers.
    """
    for name, kind in kinds.items():
        if name not in values:
            raise InputError(f"{where}: {name} is missing")
        value = values[name]
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kind) or (isinstance(value, bool) and bool not in wanted):
            names = " or ".join("null" if k is type(None) else k.__name__ for k in wanted)
            raise InputError(f"{where}: {name} is {shown(value)}, expected {names}")


def shown(value: Any) -> str:
    """Return a value as JSON, cut to what fits in a line."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    return text if len(text) <= 60 else f"{text[:57]}..."
