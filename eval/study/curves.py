"""A line of an experiment over its steps: all seeds of one objective at one learning rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from eval.compare.lines import common_steps, scores_after
from eval.statistics import score_interval
from eval.study.records import Record

EVEN, ODD, ALL = slice(0, None, 2), slice(1, None, 2), slice(None)  # of problems


@dataclass(frozen=True)
class Curve:
    """Seeds of a line at one rate."""

    name: str
    rate: float
    records: list[Record]

    @cached_property
    def steps(self) -> list[int]:
        """Return the steps at which every seed was looked at."""
        return common_steps([record.run for record in self.records])

    def scores(self, mode: str, step: int, problems: slice = ALL) -> np.ndarray:
        """Return (seeds, problems) scores."""
        runs = [record.run for record in self.records]
        return scores_after(runs, mode, step, np.arange(len(runs[0].problems))[problems])

    def best_step(self, mode: str = "sampled", problems: slice = EVEN) -> int:
        """Return the step, after the start, with the highest mean on problems that choose it."""
        after = [step for step in self.steps if step > 0] or self.steps
        return max(after, key=lambda step: self.scores(mode, step, problems).mean())

    def table(self, mode: str = "sampled", problems: slice = ALL) -> pd.DataFrame:
        """Return mean, low and high over the steps."""
        rows = [score_interval(self.scores(mode, step, problems)) for step in self.steps]
        return pd.DataFrame(rows, index=self.steps, columns=["mean", "low", "high"])

    def probe(self, side: str) -> pd.Series:
        """Return the mean over seeds of fixed trajectories' log-probs: side chosen or rejected."""
        return pd.concat([record.probes[side] for record in self.records], axis=1).mean(axis=1)

    def watched(self, quantity: str, step: int) -> float:
        """Return the mean over seeds of what was watched at a step, nan where nothing was."""
        values = [r.watched[quantity].get(step, np.nan) for r in self.records]
        return float(np.mean(values))


def curves(records: Sequence[Record]) -> list[Curve]:
    """Return an experiment's curves, in the order of its records."""
    found: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        found.setdefault((record.line, record.run.learning_rate), []).append(record)
    return [Curve(name, rate, own) for (name, rate), own in found.items()]
