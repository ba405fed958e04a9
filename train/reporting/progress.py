"""A run's progress on the screen: a bar on a terminal, else a line of figures now and then."""

import sys
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from train.reporting.callbacks import Callback, Line

# What is shown of the lines of metrics.jsonl, as what and with how many digits.
SHOWN = {
    "loss": ("loss", 4),
    "eval/greedy_accuracy": ("accuracy", 3),
    "heldout/loss": ("held-out loss", 4),
    "rollout/accuracy": ("sampled", 2),
    "rollout/reward": ("reward", 3),
}


class Figures:
    """The newest of the figures that are shown."""

    def __init__(self, cost: Any):
        """cost: of the run, with `tokens_trained` and `training_seconds`."""
        self.cost, self._known = cost, dict.fromkeys(label for label, _ in SHOWN.values())

    def update(self, metrics: Line) -> dict[str, str]:
        """Take up a line; return what there is to show."""
        for name, (label, digits) in SHOWN.items():
            if name in metrics:
                self._known[label] = f"{metrics[name]:.{digits}f}"
        known = {label: text for label, text in self._known.items() if text is not None}
        if self.cost.training_seconds:
            known["tokens/s"] = f"{self.cost.tokens_trained / self.cost.training_seconds:.0f}"
        return known


class Bar(Callback):
    """A progress bar."""

    def __init__(self, name: str, steps: int, cost: Any):
        self.name, self.steps, self.figures = name, steps, Figures(cost)
        self.bar: tqdm | None = None

    def on_begin(self, folder: Path, done: int) -> None:
        self.bar = tqdm(
            total=self.steps, initial=done, desc=self.name, unit="step", dynamic_ncols=True
        )

    def on_step(self, step: int, metrics: Line) -> None:
        if self.bar is not None:  # it has begun
            self.bar.set_postfix(self.figures.update(metrics), refresh=False)
            self.bar.update()

    def on_evaluation(self, step: int, metrics: Line) -> None:
        if self.bar is not None:
            self.bar.set_postfix(self.figures.update(metrics))

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Lines(Callback):
    """A line of figures every so many steps, and at every evaluation."""

    def __init__(self, name: str, steps: int, cost: Any, every: int):
        self.name, self.steps, self.every, self.figures = name, steps, every, Figures(cost)
        self.done, self.begun = 0, time.monotonic()

    def on_begin(self, folder: Path, done: int) -> None:
        self.done, self.begun = done, time.monotonic()

    def on_step(self, step: int, metrics: Line) -> None:
        shown = self.figures.update(metrics)
        if step % self.every == 0 or step == self.steps:
            left = (time.monotonic() - self.begun) / (step - self.done) * (self.steps - step)
            self._say(step, shown | {"left": tqdm.format_interval(left)})

    def on_evaluation(self, step: int, metrics: Line) -> None:
        shown = self.figures.update(metrics)
        if any(name in metrics for name in SHOWN):
            self._say(step, shown)

    def _say(self, step: int, shown: dict[str, str]) -> None:
        figures = ", ".join(f"{label} {text}" for label, text in shown.items())
        print(f"{self.name}, step {step} of {self.steps}: {figures}", file=sys.stderr, flush=True)


def progress(name: str, steps: int, cost: Any, every: int, quiet: bool) -> list[Callback]:
    """Return what shows a run's progress: nothing where quiet, a bar on a terminal, else lines."""
    if quiet:
        return []
    if sys.stderr.isatty():
        return [Bar(name, steps, cost)]
    return [Lines(name, steps, cost, every)]
