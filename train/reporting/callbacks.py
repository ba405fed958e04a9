"""What a run tells while it goes, and to whom."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from train.devices import processes

Line = Mapping[str, Any]  # of metrics.jsonl


class Callback:
    """Told how a run goes, in the main process alone; does nothing until methods are overridden.

    Metrics come as `metrics.jsonl` has them, and are written before. What a method raises ends the
    run, as anything else does, and leaves what was written.
    """

    def on_begin(self, folder: Path, done: int) -> None:
        """The run begins, or goes on after `done` steps; its folder and settings are there."""

    def on_step(self, step: int, metrics: Line) -> None:
        """Step `step` (from 1) was taken."""

    def on_evaluation(self, step: int, metrics: Line) -> None:
        """The policy after `step` updates was looked at, 0 being the base: problems, rows, both."""

    def on_checkpoint(self, step: int, folder: Path) -> None:
        """The checkpoint after `step` updates was written, in a folder of its own."""

    def on_end(self, result: Any) -> None:
        """The run is finished, its pictures are drawn; result: the Result that `train` returns."""

    def close(self) -> None:
        """The run is over, whether finished, stopped or failed."""


class Callbacks(Callback):
    """Tells several, one after another."""

    def __init__(self, others: Iterable[Callback] = ()):
        self.others = list(others) if processes.is_main() else []

    def on_begin(self, folder: Path, done: int) -> None:
        for other in self.others:
            other.on_begin(folder, done)

    def on_step(self, step: int, metrics: Line) -> None:
        for other in self.others:
            other.on_step(step, metrics)

    def on_evaluation(self, step: int, metrics: Line) -> None:
        for other in self.others:
            other.on_evaluation(step, metrics)

    def on_checkpoint(self, step: int, folder: Path) -> None:
        for other in self.others:
            other.on_checkpoint(step, folder)

    def on_end(self, result: Any) -> None:
        for other in self.others:
            other.on_end(result)

    def close(self) -> None:
        for other in self.others:
            other.close()
