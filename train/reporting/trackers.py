"""Experiment trackers, through accelerate's: what metrics.jsonl gets, the settings, the pictures.

A run that is resumed goes on in the same run of each tracker, whose names are in `trackers.json`.
"""

import json
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from objectives.errors import InputError
from objectives.json_files import read_object
from objectives.whole_files import write_whole
from train.reporting.callbacks import Callback, Line

PROJECT = "objective-zoo"
# Where each lets its users name the project.
PROJECT_NAMES = {"trackio": "TRACKIO_PROJECT", "wandb": "WANDB_PROJECT",
                 "mlflow": "MLFLOW_EXPERIMENT_NAME"}  # fmt: skip
ANEW = ("trackio", "wandb")  # forget a run's settings when it goes on
RECORD = "trackers.json"


class Tracker(Callback):
    """Reports a run to one tracker; where that fails while the run goes, says so and stops."""

    def __init__(self, name: str):
        """name: of TRACKERS, and installed."""
        self.name, self.tracker = name, None
        self.last = 0  # step

    def on_begin(self, folder: Path, done: int) -> None:
        """Raise InputError where the tracker cannot be started."""
        record = folder / RECORD
        known = read_object(record) if record.is_file() else {}
        again = self.name in known
        if not again:
            known[self.name] = f"{folder.resolve().name}-{uuid.uuid4().hex[:8]}"
        try:
            tracker = _opened(self.name, folder, known[self.name], again, done)
            tracker.start()
            if self.name == "mlflow":  # which names its runs itself
                known[self.name] = tracker.tracker.info.run_id
            if not again or self.name in ANEW:
                tracker.store_init_configuration(_settings(folder))
        except Exception as error:  # whatever a tracker raises where it cannot reach its place
            raise InputError(f"--report-to {self.name}: it cannot be started ({error})") from None
        self.tracker = tracker
        write_whole(record, json.dumps(known, indent=2) + "\n")

    def on_step(self, step: int, metrics: Line) -> None:
        self._log(step, metrics)

    def on_evaluation(self, step: int, metrics: Line) -> None:
        self._log(step, metrics)

    def on_end(self, result: Any) -> None:
        self._tell(lambda: self._show(result))

    def close(self) -> None:
        if self.tracker is not None:
            self._tell(self.tracker.finish)

    def _log(self, step: int, metrics: Line) -> None:
        self.last = step
        values = {name: value for name, value in metrics.items() if name != "step"}
        self._tell(lambda: self.tracker and self.tracker.log(values, step=step))

    def _show(self, result: Any) -> None:
        """Report the final table and the pictures, in the form that each tracker has for them."""
        tracker: Any = self.tracker
        if tracker is None:
            return
        table = result.table()
        if self.name == "mlflow":
            import mlflow  # pyright: ignore[reportMissingImports]

            mlflow.log_text(table, "table.txt")
            for path in result.pictures:
                tracker.log_artifact(str(path))
            return
        if self.name == "tensorboard":  # reads Markdown, in which these spaces begin code
            table = "".join(f"    {line}\n" for line in table.splitlines())
        tracker.log({"table": table}, step=self.last)
        for path in result.pictures:
            self._picture(tracker, path)

    def _picture(self, tracker: Any, path: Path) -> None:
        if self.name == "trackio":
            import trackio  # pyright: ignore[reportMissingImports]

            tracker.log({path.stem: trackio.Image(str(path))}, step=self.last)
            return
        from matplotlib.image import imread

        image = (imread(path)[None, ..., :3] * 255).astype("uint8")
        more = {"dataformats": "NHWC"} if self.name == "tensorboard" else {}
        images = image if self.name == "tensorboard" else list(image)
        tracker.log_images({path.stem: images}, step=self.last, **more)

    def _tell(self, what: Callable[[], object]) -> None:
        try:
            what()
        except Exception as error:  # a run of hours is not to end with its tracker
            self.tracker = None
            print(
                f"--report-to {self.name}: it failed at step {self.last} ({error}); the run goes "
                f"on without it",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def trackers(names: Sequence[str]) -> list[Callback]:
    """Return a callback for each tracker."""
    return [Tracker(name) for name in names]


def _opened(name: str, folder: Path, own: str, again: bool, done: int) -> Any:
    """Return accelerate's tracker. own: the name or id of the run there; again: it exists."""
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # which trackers ask whether this is the main process
    made = LOGGER_TYPE_TO_CLASS[name]
    project = os.environ.get(PROJECT_NAMES.get(name, ""), PROJECT)
    if name == "tensorboard":
        # What an interrupted run told after its last checkpoint is told again.
        return made(name, folder, **({"purge_step": done + 1} if again else {}))
    if name == "mlflow":
        run = {"run_id": own} if again else {"run_name": own}
        return made(experiment_name=project, **run)
    if name == "wandb":
        return made(project, id=own, name=folder.resolve().name, resume="allow")
    return made(project, name=own, resume="must" if again else "never")


def _settings(folder: Path) -> dict[str, Any]:
    """Return a run's settings as trackers take them: no lists, no nothing."""

    def plain(value: Any) -> Any:
        if isinstance(value, str | int | float | bool):
            return value
        return "none" if value is None else json.dumps(value)

    return {name: plain(value) for name, value in read_object(folder / "config.json").items()}
