"""Tables of problems as they were written: no guesses at numbers, dates or missing values."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from objectives.errors import InputError

WHOLE = re.compile(r"-?\d{1,4000}")  # Python refuses to read longer ones


class WrittenNumber(str):
    """A number of a JSON file, digit for digit."""


def plain(value: Any) -> Any:
    """Return a copy of a row, or of what is in it, with numbers in the place of `WrittenNumber`s.

    Other values stay as they are, so that cells of CSV are text.
    """
    if isinstance(value, WrittenNumber):
        return int(value) if WHOLE.fullmatch(value) else float(value)
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    return value


def read_rows(path: Path) -> list[dict]:
    """Return the rows of a JSON Lines, JSON, Parquet, CSV or TSV file, packed by gzip or not.

    Numbers of JSON are `WrittenNumber`s; cells of CSV are text, an empty one is None. Raises
    InputError naming the file, and the line where one does not fit.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of problems")
    ending = path.name.removeprefix(bare_name(path))
    if ending not in ENDINGS:
        raise InputError(
            f"{path}: expected a file ending in {', '.join(READERS)}; all but Parquet may be "
            f"packed too, as .jsonl{PACKED}"
        )
    try:
        rows = READERS[ending.removesuffix(PACKED)](path)
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, RecursionError) as error:
        raise InputError(f"{path} cannot be read as {ending}: {error}") from None
    if not rows:
        raise InputError(f"{path} holds no problems")
    return rows


def bare_name(path: Path) -> str:
    """Return a file's name without its ending, which may be of two parts, as .jsonl.gz."""
    return Path(path.name.removesuffix(PACKED)).stem


def _json_lines(path: Path) -> list[dict]:
    text = _text(path)
    if re.match(r"\s*\[\s*\{", text):  # one array, as in JSON
        return _rows_of(_loads(text))
    return _rows_of_lines(text)


def _rows_of_lines(text: str) -> list[dict]:
    rows = []
    # Not splitlines: a line separator of Unicode may stand in a question.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = _loads(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no object with a question and an answer")
        rows.append(row)
    return rows


def _json(path: Path) -> list[dict]:
    text = _text(path)
    try:
        table = _loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        return _rows_of_lines(text)  # JSON Lines by another name
    return _rows_of(table)


def _rows_of(table: Any) -> list[dict]:
    if isinstance(table, dict):
        lists = [c for c in table.values() if isinstance(c, list) and c and isinstance(c[0], dict)]
        if len(lists) == 1 and not any(isinstance(c, (list, dict)) and c is not lists[0]
                                       for c in table.values()):  # fmt: skip
            table = lists[0]  # what stands around the rows
    if isinstance(table, dict):  # of columns, each a list or numbered entries
        columns = [list(c.values()) if isinstance(c, dict) else c for c in table.values()]
        if not all(isinstance(column, list) for column in columns):
            raise ValueError("expected a list of objects")
        table = [dict(zip(table, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        raise ValueError("expected a list of objects")
    return table


def _csv(path: Path) -> list[dict]:
    text = _text(path)
    header = text.partition("\n")[0]
    mark = next((m for m in ";\t" if "," not in header and m in header), ",")
    return _cells(text, mark)


def _tsv(path: Path) -> list[dict]:
    return _cells(_text(path), "\t")


def _cells(text: str, mark: str) -> list[dict]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=mark)
    rows = list(reader)
    names = list(reader.fieldnames or ())
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two columns are called {twice}: rename one")
    for number, row in enumerate(rows, 1):
        if None in row:
            raise ValueError(f"row {number} has more cells than there are columns")
    return [{name: cell or None for name, cell in row.items()} for row in rows]


def _parquet(path: Path) -> list[dict]:
    import pyarrow.parquet  # a second, for one kind of file

    return pyarrow.parquet.read_table(path).to_pylist()


READERS: dict[str, Callable[[Path], list[dict]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": _tsv,
}
PACKED = ".gz"
ENDINGS = (*READERS, *(f"{ending}{PACKED}" for ending in READERS if ending != ".parquet"))


def _text(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == PACKED:
        content = gzip.decompress(content)
    return content.decode("utf-8-sig")


def _loads(text: str) -> Any:
    return _whole(
        json.loads(
            text,
            parse_int=WrittenNumber,
            parse_float=WrittenNumber,
            parse_constant=lambda _: None,  # NaN and infinities are no answers
        )
    )


def _whole(value: Any) -> Any:
    """Return JSON with U+FFFD for halves of characters, which cannot be written again."""
    if isinstance(value, WrittenNumber):
        return value
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(entry) for name, entry in value.items()}
    return value
