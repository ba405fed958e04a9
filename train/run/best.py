"""The best checkpoint by a metric of the evaluations: kept, and named in best.json."""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from objectives.errors import InputError
from objectives.json_files import read_object, require, shown
from objectives.spelling import did_you_mean
from objectives.whole_files import write_whole
from train.config.groups import FolderConfig
from train.devices import processes
from train.learning.schedule import due
from train.store.checkpoints import find_checkpoints

FILE = "best.json"
LOWER = ("loss",)  # the last parts of names of metrics that are better lower
KINDS = {"metric": str, "value": (int, float), "step": int, "base": (int, float, type(None)),
         "checkpoint": str}  # fmt: skip


class Best:
    """Knows which checkpoint is the best so far, and has it kept."""

    def __init__(self, metric: str, folder: Path, how: FolderConfig):
        self.metric, self.folder, self.how = metric, folder, how
        self.sign = -1 if is_better_low(metric) else 1
        self.base: float | None = None  # before training
        self.value: float | None = None
        self.step: int | None = None
        self.new = False  # better than the checkpoint that is named
        self._former: int | None = None  # step of that one, until the new one is named

    def take_up(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Go on from what a stopped run found: its lines of evaluations, those with a checkpoint.

        Raises InputError where the run chose by another metric.
        """
        path = self.folder / FILE
        known = read_object(path) if path.exists() else {"metric": self.metric}
        if known.get("metric") != self.metric:
            raise InputError(
                f"{path} is by {shown(known.get('metric'))}, not {self.metric}: give --keep-best "
                f"that, or remove it"
            )
        there = find_checkpoints(self.folder)
        for line in lines:
            if line["step"] == 0 or line["step"] in there:
                self.saw(line["step"], line)
        if self.step is not None:
            named = known.get("step")
            self._former = named if isinstance(named, int) and named != self.step else None
            self.written(self.step)

    def saw(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Take note of an evaluation of the policy after `step` updates."""
        value = metrics.get(self.metric)
        if value is None:
            return
        if step == 0:
            self.base = value
        elif self.value is None or self.sign * value > self.sign * self.value:
            self._former = self._former if self.new else self.step
            self.value, self.step, self.new = value, step, True

    @property
    def steps(self) -> list[int]:
        """Of the checkpoints that are to be kept: the best, and the one that is named still."""
        return [step for step in (self.step, self._former) if step is not None]

    def written(self, step: int) -> None:
        """Name the checkpoint after `step` updates, where it is the best, then drop the former.

        The former stays where --checkpoint-every wants it.
        """
        if not self.new or step != self.step:
            return
        values = {"metric": self.metric, "value": self.value, "step": step, "base": self.base,
                  "checkpoint": f"checkpoints/step-{step}"}  # fmt: skip
        text = json.dumps(values, indent=2) + "\n"
        processes.on_main(lambda: write_whole(self.folder / FILE, text))
        former, self.new, self._former = self._former, False, None
        if former is not None and not due(former, self.how.checkpoint_every):
            place = self.folder / "checkpoints" / f"step-{former}"
            processes.on_main(lambda: shutil.rmtree(place, ignore_errors=True))


def best_line(folder: Path) -> str | None:
    """Return a line on a run's best checkpoint, None where none is named.

    Raises InputError for a file that is not of a run.
    """
    path = folder / FILE
    if not path.exists():
        return None
    known = read_object(path)
    require(str(path), known, KINDS)
    base = "" if known["base"] is None else f", {known['base']:.4f} before training"
    return (
        f"best {known['metric']} {known['value']:.4f} after step {known['step']}{base}: "
        f"{folder / known['checkpoint']}"
    )


def is_better_low(metric: str) -> bool:
    """Whether a metric of evaluations is the better the lower it is."""
    return metric.split("/")[-1] in LOWER


def check_metric(metric: str, known: Collection[str]) -> None:
    """Raise InputError where a run's evaluations do not have the metric that --keep-best names."""
    if metric not in known:
        has = ", ".join(known) or "none: name --eval-problems, --eval-data or --eval-fraction"
        raise InputError(
            f"--keep-best {metric}: evaluations of this run have {has}"
            + did_you_mean(metric, list(known))
        )


def warning(metric: str) -> str:
    """Return a line on what choosing by a metric means."""
    return (
        f"the best checkpoint is that of the {'lowest' if is_better_low(metric) else 'highest'} "
        f"{metric}: what it scores there is better than it is; "
        f"report it on problems or rows that chose nothing"
    )
