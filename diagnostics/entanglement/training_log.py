"""What the metrics that a run logged say: from which step on the log-probs of a side fell."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diagnostics.log_probs import LOGPS, REWARDS, SIDES
from objectives.errors import InputError
from objectives.json_files import parsed, read_objects, read_text, shown

HISTORY = "log_history"  # of trainer_state.json, as transformers' Trainer and so TRL's write it
WIDTHS = ((15, 5), (5, 3), (0, 1))  # from so many entries on, those of the running median
LEAST = 3  # entries from which a course can be told
NOISE = 3.0  # times the noise: a change below that is no turn


class Course(NamedTuple):
    """What a quantity did over a run, in running medians so that a batch alone is no turn."""

    first: float
    turn: float  # the highest value
    last: float
    turn_step: int
    last_step: int
    noise: float  # 1.48 median absolute deviations of the entries from their running median

    @property
    def fell(self) -> bool:
        """Whether it ended lower than it had been, by more than noise."""
        return self.turn - self.last > NOISE * self.noise and self.turn > self.last

    @property
    def rose(self) -> bool:
        """Whether it had risen before."""
        return self.turn - self.first > NOISE * self.noise and self.turn > self.first


class TrainingLog(NamedTuple):
    """The log-probs of a run's batches, by name of the metric: steps and values, (entries,)."""

    path: Path
    series: dict[str, tuple[np.ndarray, np.ndarray]]
    left_out: int  # entries that have a metric but no finite number

    def courses(self) -> dict[str, Course]:
        """Return the course of each metric that has LEAST entries or more."""
        return {name: course(*each) for name, each in self.series.items() if len(each[0]) >= LEAST}


def read_training_log(path: Path) -> TrainingLog:
    """Read the log-probs that a run logged.

    path: `trainer_state.json` of transformers' Trainer (TRL's runs leave it in each checkpoint), or
    `metrics.jsonl` of `python -m train`. Entries without log-probs of the batch, as of evaluations,
    are passed over; of two entries of one step, as where a run went on, the later holds.
    Raises InputError naming the file, and the entry, for what is neither.
    """
    rows = _entries(path)
    names = [f"{kind}/{side}" for kind in (LOGPS, REWARDS) for side in SIDES]
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    left_out = 0
    for where, row in rows:
        for name in names:
            if name not in row:
                continue
            step, value = row.get("step"), row[name]
            if not isinstance(step, int) or isinstance(step, bool) or step < 0:
                raise InputError(f"{where}: step is {shown(step)}, expected a whole number")
            number = _number(value)
            if number is None:
                raise InputError(f"{where}: {name} is {shown(value)}, expected a number")
            if math.isfinite(number):
                found[name][step] = number
            else:
                left_out += 1
    series = {
        name: tuple(np.array(column) for column in zip(*sorted(of.items()), strict=True))
        for name, of in found.items()
        if of
    }
    if not any(f"{LOGPS}/{side}" in series for side in SIDES):
        raise InputError(
            f"{path}: no entry has logps/chosen or logps/rejected, which TRL's DPO trainer and "
            f"python -m train log"
        )
    return TrainingLog(path, series, left_out)  # pyright: ignore[reportArgumentType] pairs of arrays


def course(steps: np.ndarray, values: np.ndarray) -> Course:
    """Return what happened to a quantity.

    steps, values: (n,) in order, n at least 1. The highest running median is the turn; of several
    as high, the last.
    """
    half = next(width for least, width in WIDTHS if len(values) >= least) // 2
    smooth = np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    )
    turn = len(smooth) - 1 - int(np.argmax(smooth[::-1]))
    # Of a normal distribution's standard deviation; a turn or a slope's ends move it little.
    noise = 1.4826 * float(np.median(np.abs(values - smooth)))
    return Course(
        float(smooth[0]), float(smooth[turn]), float(smooth[-1]), int(steps[turn]),
        int(steps[-1]), noise,
    )  # fmt: skip


def _entries(path: Path) -> Sequence[tuple[str, Mapping[str, Any]]]:
    if path.is_dir():
        raise InputError(f"--log {path}: a folder: name its trainer_state.json or metrics.jsonl")
    if not path.exists():
        raise InputError(f"--log {path}: no such file")
    if path.suffix == ".jsonl":
        rows = read_objects(path, torn_end=True)
        return [(f"{path} line {number}", row) for number, row in rows.items()]
    content = parsed(read_text(path), str(path))
    history = content.get(HISTORY) if isinstance(content, dict) else None
    if not isinstance(history, list):
        raise InputError(
            f"{path}: no list {HISTORY}, which trainer_state.json has (metrics.jsonl is read by "
            f"its ending)"
        )
    for number, row in enumerate(history, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path} {HISTORY} entry {number}: {shown(row)}, expected an object")
    return [(f"{path} {HISTORY} entry {n}", row) for n, row in enumerate(history, 1)]


def _number(value: Any) -> float | None:
    """Return a number of a log; TRL and our own write nan as text, or as JSON's extension."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 else math.inf
    if value is None or value in ("nan", "NaN", "inf", "-inf", "Infinity", "-Infinity"):
        return math.nan
    return None
