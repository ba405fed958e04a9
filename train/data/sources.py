"""Where rows come from: files, the hub or memory, a few at a time, never all as objects."""

import functools
import glob
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pyarrow as pa
from datasets import Dataset, disable_progress_bars, load_dataset

from objectives.errors import InputError
from train.data.kept_file import file_digest
from train.data.row_files import ENDINGS, arrow_rows, ending, in_parts, parquet_size, read_file
from train.data.row_forms import listed

Row = tuple[str, dict]  # where it stands, `FILE row 3`, and what it holds
HELD_OUT = re.compile(r"(?:^|[-_.])(test|valid|validation|val|dev|eval)(?:[-_.]|$)")
ROWS_AT_ONCE = 1000  # of a data set, that are hashed
TRAINED = re.compile(r"(?:^|[-_.])train(?:[-_.]|$)")


class RowSource(NamedTuple):
    """Rows that can be gone through again and again."""

    batches: Callable[[], Iterator[list[Row]]]  # of a few hundred rows at most
    count: int | None  # rows, where that is known beforehand
    bytes: int  # about what all rows take
    identity: Callable[[], str]  # a digest of the content


def open_rows(
    source: str, name: str, expected: str, config: str | None = None, split: str | None = None
) -> RowSource:
    """Open a file, all files of a folder or of a pattern, or a data set of the hub.

    name: what messages call it. expected: the columns that a row should have, for messages.
    config, split: of a data set of the hub. Raises InputError for a source that is none of these;
    going through the rows raises it for what cannot be read, naming the line.
    """
    disable_progress_bars()  # of the hub library, which draws one for everything it does
    if may_be_on_hub(source):
        return of_hub(source, config, split)
    check_of_hub(name, config, split)
    paths = _paths(source)
    if len(paths) == 1:
        return _file(paths[0], name if source == str(paths[0]) else str(paths[0]), expected)
    return _joined([_file(path, str(path), expected) for path in paths])


def of_hub(source: str, config: str | None = None, split: str | None = None) -> RowSource:
    """Open a data set of the hub; raises InputError that says what may be asked of it.

    config: by default its only one. split: by default `train`.
    """
    split = split or "train"
    try:
        dataset = load_dataset(source, config, split=split)
    except Exception as error:
        raise _not_had(source, config, split, error) from None
    if not isinstance(dataset, Dataset):
        raise InputError(f"--data-split {split}: expected the name of one split")
    return RowSource(
        lambda: _placed(source, arrow_rows(dataset)),
        len(dataset),
        dataset.data.nbytes,
        functools.cache(lambda: _content(dataset)),
    )


def may_be_on_hub(source: str) -> bool:
    """Return whether a source is the name of no file, folder or pattern, here or elsewhere."""
    path = Path(source)
    local = path.exists() or glob.has_magic(source) or ending(path) is not None
    return not local and not source.startswith((".", "/", "~"))


def check_of_hub(name: str, config: str | None, split: str | None) -> None:
    """Raise InputError where a configuration or split is asked of what is not of the hub."""
    for flag, value in (("--data-config", config), ("--data-split", split)):
        if value is not None:
            raise InputError(f"{flag} {value}: for a data set of the hub, and {name} is not one")


def rows_in_memory(rows: Dataset | Sequence[dict], name: str) -> RowSource:
    """Return rows that are in memory already: a data set, or dicts."""
    if isinstance(rows, Dataset):
        return RowSource(
            lambda: _placed(name, arrow_rows(rows)),
            len(rows),
            rows.data.nbytes,
            functools.cache(lambda: _content(rows)),
        )
    rows = [listed(row) for row in rows]
    try:
        text = json.dumps(rows, default=str)
    except (ValueError, TypeError, RecursionError):  # as of a number of 5,000 digits
        text = ""  # so small that its ids are not kept under a digest
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return RowSource(
        lambda: _placed(name, in_parts(iter(rows))), len(rows), len(text), lambda: digest
    )


def _content(dataset: Dataset) -> str:
    """Return a digest of what is in a data set: its fingerprint has files' times."""
    digest = hashlib.blake2b(digest_size=16)
    for batch in dataset.with_format("arrow").iter(ROWS_AT_ONCE):
        whole = cast(pa.Table, batch).replace_schema_metadata(None).combine_chunks()
        with pa.ipc.new_stream(sink := pa.BufferOutputStream(), whole.schema) as stream:
            stream.write_table(whole)
        digest.update(sink.getvalue())
    return digest.hexdigest()


def _placed(name: str, batches: Iterator[list[dict]]) -> Iterator[list[Row]]:
    read = 0
    for rows in batches:
        yield [(f"{name} row {number}", row) for number, row in enumerate(rows, read + 1)]
        read += len(rows)


def _paths(source: str) -> list[Path]:
    """Return the files that a source names; raises InputError where they are not there."""
    path = Path(source)
    if path.is_file():
        found = [path]
    elif path.is_dir():
        found = sorted(entry for entry in path.iterdir() if entry.is_file() and ending(entry))
        if not found:
            raise InputError(f"--data {source}: no file in it ends in {', '.join(ENDINGS)}")
        _check_splits(source, found)
    elif glob.has_magic(source):
        found = [Path(entry) for entry in sorted(glob.glob(source, recursive=True))]
        found = [entry for entry in found if entry.is_file()]
        if not found:
            raise InputError(f"--data {source}: no file has such a name")
    else:
        raise InputError(f"--data {source}: no such file")
    for entry in found:
        if not ending(entry):
            raise InputError(f"--data {entry}: expected a file ending in {', '.join(ENDINGS)}")
    return found


def _check_splits(folder: str, paths: list[Path]) -> None:
    """Raise InputError where a folder holds what is trained on and what it is tested on."""
    held_out = [path.name for path in paths if HELD_OUT.search(path.name)]
    if held_out and any(TRAINED.search(path.name) for path in paths):
        raise InputError(
            f"--data {folder}: it holds several splits ({held_out[0]} is none to train on): name "
            f"the files, such as --data '{folder.rstrip('/')}/train*'"
        )


def _file(path: Path, name: str, expected: str) -> RowSource:
    count, size = None, path.stat().st_size
    if ending(path) == ".parquet":
        count, size = parquet_size(path)

    @functools.cache
    def identity() -> str:
        # The same bytes are other rows as CSV than as TSV.
        return file_digest(path) + (str(ending(path)) if ending(path) in (".csv", ".tsv") else "")

    return RowSource(lambda: _placed(name, read_file(path, expected)), count, size, identity)


def _joined(parts: list[RowSource]) -> RowSource:
    counts = [part.count for part in parts if part.count is not None]

    def batches() -> Iterator[list[Row]]:
        for part in parts:
            yield from part.batches()

    return RowSource(
        batches,
        sum(counts) if len(counts) == len(parts) else None,
        sum(part.bytes for part in parts),
        functools.cache(lambda: _of_all(part.identity() for part in parts)),
    )


def _of_all(digests: Iterable[str]) -> str:
    return hashlib.blake2b(" ".join(digests).encode(), digest_size=16).hexdigest()


def _not_had(source: str, config: str | None, split: str, error: Exception) -> InputError:
    """Return what a data set of the hub offers in the place of what was asked for."""
    names = re.search(r"\[(.*?)\]", str(error), re.DOTALL)
    offered = "" if names is None else ", ".join(re.findall(r"'([^']*)'", names[1]))
    if isinstance(error, ValueError) and offered:
        if "onfig" in str(error):
            asked = "needs a configuration" if config is None else f"has no configuration {config}"
            return InputError(f"--data {source}: it {asked}: --data-config takes {offered}")
        if "split" in str(error):
            return InputError(f"--data {source}: it has no split {split}: --data-split takes "
                              f"{offered}")  # fmt: skip
    return InputError(
        f"--data {source}: neither a file here nor a data set with a split `{split}` that can "
        f"be had from the hub ({type(error).__name__})"
    )
