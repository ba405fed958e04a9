"""Files and folders that are written whole or not at all, whatever a disk or a signal does."""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from objectives.errors import InputError

# What libraries in Rust raise for an OSError: safetensors, tokenizers.
DISK = re.compile(r"os error \d+|I/O error", re.IGNORECASE)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial"


def write_whole(target: Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Write a file whole or not at all: beside, then on the disk, then under its name.

    The file's folder is made where it is not there.

    content: text, which is written as UTF-8, or bytes, or a function that writes the file whose
    path it is given. Raises InputError naming the file where the disk does not take it.
    """
    partial = partial_of(target)
    with writing(target, partial):
        target.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(partial)
        else:
            partial.write_bytes(_encoded(content))
        flush(partial)
        os.replace(partial, target)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write into, which becomes `target` when all is on the disk, or is removed.

    target: not there yet, or an empty folder. Raises InputError naming it where the disk does not
    take what is written within.
    """
    # An empty folder may be where somebody is, or another disk: it is filled, not replaced.
    there = target.is_dir()
    partial = target / PARTIAL if there else partial_of(target)
    with writing(target, partial):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        flush(partial)
        if there:
            for path in sorted(partial.iterdir()):
                os.replace(path, target / path.name)
            partial.rmdir()
        else:
            os.replace(partial, target)


def append_whole(target: Path, text: str) -> None:
    """Add text to the end of a file, all of it or none; make the file where there is none.

    Raises InputError naming the file where the disk does not take it.
    """
    with writing(target), target.open("ab", buffering=0) as file:
        size, rest = file.seek(0, os.SEEK_END), memoryview(_encoded(text))
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException:
            file.truncate(size)
            raise


def flush(path: Path) -> None:
    """Return when a file, or all files of a folder, are on the disk."""
    for file in (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else (path,):
        number = os.open(file, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def partial_of(target: Path) -> Path:
    """Return where a file or folder is until it is whole."""
    return target.with_name(f".{target.name}{PARTIAL}")


def is_partial(path: Path) -> bool:
    """Say whether a file or folder is what a killed command left of one that it wrote."""
    return path.name.startswith(".") and path.name.endswith(PARTIAL)


@contextmanager
def writing(target: Path, partial: Path | None = None) -> Iterator[None]:
    """Turn what a disk raises within into an InputError that names `target`.

    partial: a file or folder to remove first, whatever is raised.
    """
    try:
        yield
    except BaseException as error:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        ours = isinstance(error, InputError)
        if ours or not (isinstance(error, OSError) or DISK.search(str(error))):
            raise
        raise unwritable(target, error) from None


def unwritable(target: Path, error: BaseException) -> InputError:
    """Return the line that says why a file or folder cannot be written."""
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else (str(error) or type(error).__name__)
    full = number in FULL or any(os.strerror(own) in reason for own in FULL)
    # Of a folder that is not whole yet, as what it is to be.
    parts = [part.removeprefix(".").removesuffix(PARTIAL) if is_partial(Path(part)) else part
             for part in target.parts]  # fmt: skip
    remedy = "free some space, or write somewhere else" if full else "write somewhere else"
    return InputError(
        f"{Path(*parts)} cannot be written ({reason}); what was written before stays as it is: "
        f"{remedy}"
    )


def _encoded(content: str | bytes) -> bytes:
    # Halves of characters, as of a file's name that is no UTF-8, have no encoding.
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
