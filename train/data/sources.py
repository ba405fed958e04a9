"""Where rows come from: JSON Lines, Parquet or the hub, a few at a time, never all as objects."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import pyarrow.parquet
from datasets import Dataset, IterableDataset, disable_progress_bars, load_dataset

from objectives.errors import InputError
from train.data.kept_file import file_digest

ROWS_AT_ONCE = 256


class RowSource(NamedTuple):
    """Rows that can be gone through again and again."""

    batches: Callable[[], Iterator[list[dict]]]  # of ROWS_AT_ONCE rows at most
    count: int | None  # rows, where that is known beforehand
    bytes: int  # about what all rows take
    identity: Callable[[], str]  # a digest of the content


def open_rows(source: str, path: Path, expected: str) -> RowSource:
    """Open a file ending in .parquet or .jsonl, or a hub data set (its split `train`).

    expected: the columns that a row should have, for messages.
    Raises InputError for a source that is none of these; going through the rows raises it for what
    cannot be read, naming the line.
    """
    disable_progress_bars()  # of the hub library, which draws one for everything it does
    if path.is_file():
        if path.suffix in (".jsonl", ".json"):
            return RowSource(
                lambda: _in_parts(_json_rows(path, expected)),
                None,
                path.stat().st_size,
                lambda: file_digest(path),
            )
        if path.suffix == ".parquet":
            return _parquet(path)
        raise InputError(f"--data {path}: expected a file ending in .parquet or .jsonl")
    if path.suffix in (".jsonl", ".json", ".parquet") or source.startswith((".", "/")):
        raise InputError(f"--data {source}: no such file")
    try:
        dataset = load_dataset(source, split="train")
    except Exception as error:
        raise InputError(
            f"--data {source}: neither a file here nor a data set with a split `train` that can "
            f"be had from the hub ({type(error).__name__})"
        ) from None
    return RowSource(
        lambda: _arrow(dataset), len(dataset), dataset.data.nbytes, lambda: dataset._fingerprint
    )


def rows_in_memory(rows: Dataset | Sequence[dict]) -> RowSource:
    """Return rows that are in memory already: a data set, or dicts."""
    if isinstance(rows, Dataset):
        return RowSource(
            lambda: _arrow(rows), len(rows), rows.data.nbytes, lambda: rows._fingerprint
        )
    text = json.dumps(list(rows), default=str)
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return RowSource(lambda: _in_parts(iter(rows)), len(rows), len(text), lambda: digest)


def _in_parts(rows: Iterator[dict]) -> Iterator[list[dict]]:
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield batch


def _json_rows(path: Path, expected: str) -> Iterator[dict]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path} line {number}: not JSON ({error})") from None
            if not isinstance(row, dict):
                raise InputError(f"{path} line {number}: expected an object with {expected}")
            yield row


def _parquet(path: Path) -> RowSource:
    def batches() -> Iterator[list[dict]]:
        try:
            yield from _arrow(
                Dataset.from_parquet(str(path), streaming=True, batch_size=ROWS_AT_ONCE)
            )
        except Exception as error:
            raise InputError(f"{path} is not a readable Parquet file: {error}") from None

    try:
        about = pyarrow.parquet.read_metadata(path)
    except Exception as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None
    size = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
    return RowSource(batches, about.num_rows, size, lambda: file_digest(path))


def _arrow(dataset: Dataset | IterableDataset) -> Iterator[list[dict]]:
    for table in dataset.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
        yield cast(pyarrow.Table, table).to_pylist()  # declared as a dict, whatever the format
