"""The best checkpoint by a metric of the evaluations: kept, and named in best.json."""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import read_object, require
from objectives.spelling import did_you_mean
from objectives.whole_files import write_whole
from train.config.groups import FolderConfig
from train.devices import processes
from train.learning.schedule import due

FILE = "best.json"
LOWER = ("loss",)  # the last parts of names of metrics that are better lower
KINDS = {"metric": str, "value": (int, float), "step": int, "base": (int, float, type(None))}


class Best:
    """Knows which checkpoint is the best so far, and has it kept."""

    def __init__(self, metric: str, folder: Path, how: FolderConfig):
        self.metric, self.folder, self.how = metric, folder, how
        self.sign = -1 if metric.split("/")[-1] in LOWER else 1
        self.base: float | None = None  # before training
        self.value: float | None = None
        self.step: int | None = None
        self.new = False  # better than the checkpoint that is kept

    def take_up(self) -> None:
        """Go on from what a stopped run kept; raises InputError for a file that is not of one."""
        path = self.folder / FILE
        if not path.exists():
            return
        known = read_object(path)
        require(str(path), known, KINDS)
        if known["metric"] != self.metric:
            raise InputError(
                f"{path} is by {known['metric']}, not {self.metric}: give --keep-best "
                f"{known['metric']}, or remove it"
            )
        self.value, self.step, self.base = known["value"], known["step"], known["base"]

    def saw(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take note of an evaluation of the policy after `step` updates."""
        value = metrics.get(self.metric)
        if value is None:
            return
        if step == 0:
            self.base = value
        elif self.value is None or self.sign * value > self.sign * self.value:
            self._before, self.value, self.step, self.new = self.step, value, step, True

    def written(self, step: int) -> None:
        """Name the checkpoint after `step` updates, where it is the best, and drop the former.

        The former stays where --checkpoint-every wants it.
        """
        if not self.new or step != self.step:
            return
        self.new = False
        values = {"metric": self.metric, "value": self.value, "step": step, "base": self.base,
                  "checkpoint": f"checkpoints/step-{step}"}  # fmt: skip
        text = json.dumps(values, indent=2) + "\n"
        processes.on_main(lambda: write_whole(self.folder / FILE, text))
        before = self._before
        if before is not None and not due(before, self.how.checkpoint_every):
            former = self.folder / "checkpoints" / f"step-{before}"
            processes.on_main(lambda: shutil.rmtree(former, ignore_errors=True))

    def describe(self) -> str | None:
        """Return a line on the best checkpoint, None without one."""
        if self.step is None:
            return None
        base = "" if self.base is None else f", {self.base:.4f} before training"
        return f"best {self.metric} {self.value:.4f} after step {self.step}{base}: {self.place}"

    @property
    def steps(self) -> list[int]:
        """Of the checkpoint that is kept for being the best, or will be."""
        return [] if self.step is None else [self.step]

    @property
    def place(self) -> Path:
        return self.folder / "checkpoints" / f"step-{self.step}"


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
        f"the best checkpoint is chosen by {metric}: what it scores there is better than it is; "
        f"report it on problems or rows that chose nothing"
    )
