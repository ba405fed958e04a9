"""What a command writes is its own while it runs; a second one that would write there is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from objectives.errors import InputError
from objectives.whole_files import writing

LOOKING = 2.0  # seconds to wait for a command that only looks what is there


class InUse(InputError):
    """Another command is writing there."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file or folder that a command writes, there or not; freed when the process ends.

    By whatever way a path leads there, through links or `..`, it is the same place. The lock is an
    empty file beside it, which stays; what a killed process held is free. Raises InUse where
    another command holds it, and InputError where none can be had.
    """
    place = path.resolve()
    with writing(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.with_name(f".{place.name}.lock"), timeout=LOOKING)
        try:
            lock.acquire()
        except Timeout:
            raise InUse(
                f"{path}: another command is writing there; name another with --out"
            ) from None
    try:
        yield
    finally:
        lock.release()
