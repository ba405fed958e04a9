"""Evaluations of the study as CSV: how many samples of each problem a model had right."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from eval.completions import read_rows
from eval.study.plan import run_name
from eval.study.records import MOST, RESULTS, not_kept
from objectives.errors import InputError
from objectives.whole_files import write_whole

COLUMNS = ["line", "value", "seed", "samples", "right"]


def collect_scores(names: Iterable[str], folder: Path) -> pd.DataFrame:
    """Read evaluations of the plan; return line, value, seed, samples and right, a row for each.

    right: a digit for each problem. Raises InputError for more samples than a digit counts.
    """
    rows = []
    for name in names:
        line, value, seed = name.split("/")
        table = pd.DataFrame(read_rows(folder / name / "completions.jsonl", graded=True))
        right = table.groupby("index")["correct"]
        samples = int(right.size().max())
        if samples > MOST or right.size().nunique() > 1:
            raise InputError(f"{folder / name}: the study keeps at most {MOST} samples, all alike")
        digits = "".join(map(str, right.sum().astype(int)))
        rows.append((line, float(value), int(seed), samples, digits))
    return pd.DataFrame(rows, columns=COLUMNS)


def kept_scores(experiment: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return the evaluations that are kept, as `collect_scores` does; none where none are."""
    file = _file(experiment, folder)
    if not file.is_file():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(file, dtype={"right": str})


def together(kept: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return evaluations that were kept with new ones, which take the place of their namesakes."""
    own = ["line", "value", "seed"]
    table = new if kept.empty else pd.concat([kept, new])
    return table.drop_duplicates(own, keep="last")


def names_of(scores: pd.DataFrame) -> set[str]:
    """Return the names of evaluations: line, value, seed."""
    rows = scores.to_dict("records")
    return {run_name(row["line"], row["value"], row["seed"]) for row in rows}


def write_scores(scores: pd.DataFrame, experiment: str, folder: Path = RESULTS) -> Path:
    """Write evaluations to their file, and return it."""
    file = _file(experiment, folder)
    write_whole(file, scores.to_csv(index=False))
    return file


def read_scores(experiment: str, folder: Path = RESULTS) -> dict[tuple[str, float], np.ndarray]:
    """Return (seeds, problems) scores by line and value. Raises InputError without the file."""
    table = kept_scores(experiment, folder)
    if table.empty:
        raise not_kept(_file(experiment, folder))
    found: dict[tuple[str, float], list[np.ndarray]] = {}
    for row in table.to_dict("records"):
        digits = np.array([int(digit) for digit in row["right"]]) / row["samples"]
        found.setdefault((row["line"], row["value"]), []).append(digits)
    return {key: np.stack(seeds) for key, seeds in found.items()}


def _file(experiment: str, folder: Path) -> Path:
    return folder / f"{experiment}-scores.csv"
