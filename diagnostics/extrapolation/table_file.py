"""Reading a run's `diagnostics.csv` back: the long table that `score.COLUMNS` names."""

from pathlib import Path

import numpy as np
import pandas as pd

from diagnostics.extrapolation.score import COLUMNS
from objectives.errors import InputError

NUMBERS = ("step", "horizon", "lam", "value")


def read_long_table(path: Path) -> pd.DataFrame:
    """Return the table of a run's `diagnostics.csv`, a row for each number.

    `reference`, `horizon` and `lam` are missing where a quantity has none. Raises InputError naming
    the file where it is no such table, and FileNotFoundError where there is none.
    """
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # of pandas' parser too
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a table that python -m train wrote ({reason:.120})"
        ) from None
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: not a table that python -m train wrote (no {missing[0]})")
    for name in NUMBERS:
        if len(table) and not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(f"{path}: the column {name} holds text, expected numbers")
    step, horizon = (table[name].to_numpy(float) for name in ("step", "horizon"))
    quantity, reference = (
        np.array([isinstance(value, str) for value in table[name]], bool)
        for name in ("quantity", "reference")
    )
    good = _whole(step) & quantity & (np.isnan(horizon) | (_whole(horizon) & reference))
    if not good.all():
        line = int(np.flatnonzero(~good)[0]) + 2  # the first is of the columns' names
        raise InputError(
            f"{path} line {line}: expected a step, a quantity and, with a horizon, a reference"
        )
    return table


def _whole(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (values == np.floor(values))
