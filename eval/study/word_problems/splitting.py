"""Problems split into those to train on and those to test by, and all texts of rows."""

import json
import random
from collections.abc import Iterator
from typing import Any

from objectives.errors import InputError

TRAINED = 400  # problems; the others test
SEED = 0  # of the split


def split(rows: list[dict], trained: int = TRAINED) -> dict[str, list[dict]]:
    """Return rows to train on and rows to test by; one that is there twice counts once.

    Raises InputError where none would be left to test by.
    """
    different = list({json.dumps(row, sort_keys=True): row for row in rows}.values())
    if len(different) <= trained:
        raise InputError(f"{len(different)} different problems: more than {trained} are needed")
    random.Random(SEED).shuffle(different)
    return {"train": different[:trained], "test": different[trained:]}


def strings(value: Any) -> Iterator[str]:
    """Yield every string within rows, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for own in value.values() if isinstance(value, dict) else value:
            yield from strings(own)
