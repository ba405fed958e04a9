"""Files of rows: JSON Lines, a JSON array, Parquet, CSV; read row by row, packed or not."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import pyarrow
import pyarrow.parquet
from datasets import Dataset, IterableDataset

from objectives.errors import InputError

ROWS_AT_ONCE = 256
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".json", ".ndjson")
PACKED = ".gz"
ENDINGS = (*JSON, ".parquet", *DELIMITERS)
AS_TEXT = ("prompt", "completion", "chosen", "rejected", "system")  # cells of CSV


def ending(path: Path) -> str | None:
    """Return what a file's name says that it holds, None where we do not read it."""
    name = path.name.removesuffix(PACKED)
    suffix = Path(name).suffix
    if suffix not in ENDINGS or (suffix == ".parquet" and name != path.name):
        return None
    return suffix


def read_file(path: Path, expected: str) -> Iterator[list[dict]]:
    """Yield the rows of a file, ROWS_AT_ONCE at a time.

    expected: the columns that a row should have, for messages. Raises InputError for what cannot
    be read, naming the line.
    """
    suffix = ending(path)
    if suffix == ".parquet":
        yield from _parquet(path)
        return
    rows = _json_rows(path, expected) if suffix in JSON else _cells(path, DELIMITERS[str(suffix)])
    try:
        yield from in_parts(rows)
    except (OSError, EOFError) as error:  # of gzip, for a file that is none or is cut short
        raise InputError(f"{path} cannot be read: {error}") from None


def in_parts(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Yield ROWS_AT_ONCE rows at a time."""
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield batch


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == PACKED else path.open("rb")


def _json_rows(path: Path, expected: str) -> Iterator[dict]:
    with _opened(path) as file:
        if file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
            file.seek(0)
            yield from _array(path, file, expected)
            return
        file.seek(0)
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            row = _json(line, f"{path} line {number}")
            if not isinstance(row, dict):
                raise InputError(f"{path} line {number}: expected an object with {expected}")
            yield row


def _array(path: Path, file: IO[bytes], expected: str) -> Iterator[dict]:
    for number, row in enumerate(_json(file.read(), str(path)), 1):
        if not isinstance(row, dict):
            raise InputError(f"{path} row {number}: expected an object with {expected}")
        yield row


def _json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None


def _cells(path: Path, delimiter: str) -> Iterator[dict]:
    csv.field_size_limit(2**31 - 1)
    number = 0
    with _opened(path) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            for number, row in enumerate(csv.DictReader(lines, delimiter=delimiter), 1):
                if None in row or None in row.values():
                    raise InputError(
                        f"{path} row {number}: {'more' if None in row else 'fewer'} cells than "
                        f"there are columns"
                    )
                where = f"{path} row {number}"
                yield {name: _cell(where, name, text) for name, text in row.items()}
        except csv.Error as error:
            raise InputError(f"{path} row {number + 1}: not CSV ({error})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 ({error})") from None


def _cell(where: str, name: str, text: str) -> Any:
    """Return what a cell stands for: messages as JSON, and numbers where a column is no text."""
    if name in AS_TEXT and not text.startswith("[{"):
        return text
    if not text:
        return None
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except (ValueError, RecursionError):
        if text.startswith("[{"):
            raise InputError(
                f"{where}: {name} is {text[:40]!r}..., expected text or messages as JSON"
            ) from None
    try:
        return float(text)
    except ValueError:
        return text


def _parquet(path: Path) -> Iterator[list[dict]]:
    try:
        yield from arrow_rows(
            Dataset.from_parquet(str(path), streaming=True, batch_size=ROWS_AT_ONCE)
        )
    except Exception as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None


def parquet_size(path: Path) -> tuple[int, int]:
    """Return how many rows a Parquet file has, and bytes; raises InputError for no such file."""
    try:
        about = pyarrow.parquet.read_metadata(path)
    except Exception as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None
    size = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
    return about.num_rows, size


def arrow_rows(dataset: Dataset | IterableDataset) -> Iterator[list[dict]]:
    """Yield the rows of a data set, ROWS_AT_ONCE at a time."""
    for batch in dataset.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
        table = cast(pyarrow.Table, batch)  # declared as a dict, whatever the format
        rows = table.to_pylist()
        for name in (field.name for field in table.schema if _has_struct(field.type)):
            for row in rows:
                row[name] = _filled(row[name])
        yield rows


def _has_struct(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_struct(kind):
        return True
    return kind.num_fields > 0 and any(_has_struct(kind.field(n).type)
                                       for n in range(kind.num_fields))  # fmt: skip


def _filled(value: Any) -> Any:
    """Drop the fields that a struct has only because others of its column have them."""
    if isinstance(value, dict):
        return {name: _filled(entry) for name, entry in value.items() if entry is not None}
    return [_filled(entry) for entry in value] if isinstance(value, list) else value
