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
    whole = np.isfinite(table["step"]) & (table["step"] % 1 == 0)
    ahead = table["horizon"].isna() | (np.isfinite(table["horizon"]) & (table["horizon"] % 1 == 0))
    named = table["horizon"].isna() | table["reference"].map(lambda name: isinstance(name, str))
    good = whole & ahead & named & table["quantity"].map(lambda name: isinstance(name, str))
    if not good.all():
        line = int(np.flatnonzero(~good.to_numpy())[0]) + 2  # the first is of the columns' names
        raise InputError(
            f"{path} line {line}: expected a step, a quantity and, with a horizon, a reference"
        )
    return table
