"""A line of a comparison: one objective at one learning rate, which some seeds chose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.compare.groups import Group
from eval.compare.runs import EvaluatedRun


@dataclass(frozen=True)
class Line:
    """Seeds of one objective with one learning rate and one set of hyper-parameters."""

    label: str
    learning_rate: float
    tried: list[float]  # learning rates of which this was chosen
    runs: list[EvaluatedRun]  # those that are reported
    problems: np.ndarray  # the numbers of those that are reported
    best_step: int
    chose_itself: bool  # rate or best step were chosen by the runs that are reported

    @property
    def steps(self) -> list[int]:
        """Steps at which every seed was evaluated."""
        return common_steps(self.runs)

    def has(self, mode: str) -> bool:
        """Say whether every seed was evaluated in a mode, greedy or sampled."""
        return all(mode in run.scores for run in self.runs)

    def scores(self, mode: str, step: int) -> np.ndarray:
        """Return (seeds, problems) scores of the reported problems in a mode that all have."""
        return scores_after(self.runs, mode, step, self.problems)

    def accuracies(self, mode: str) -> pd.DataFrame:
        """Return steps x seeds accuracies on the reported problems."""
        means = [run.scores[mode][self.problems].mean(axis=1) for run in self.runs]
        return pd.DataFrame({run.seed: m for run, m in zip(self.runs, means, strict=True)}).loc[
            self.steps
        ]

    def costs(self, name: str) -> pd.Series | None:
        """Return the seeds' mean of a cumulative cost at every step of `steps`, None without it."""
        if any(name not in run.costs for run in self.runs):
            return None
        return (
            pd.concat([run.costs[name] for run in self.runs], axis=1)
            .mean(axis=1)
            .reindex(self.steps)
        )


def chosen_line(group: Group, metric: str, problems: np.ndarray) -> Line:
    """Return the group's line at the rate that its first seeds find best, judged by the others.

    Both rate (of equal ones the lowest) and best step have the highest mean accuracy of the seeds
    and on the problems that choose (`choosing_accuracy`); what is reported is of the other seeds on
    the other problems. Of a single seed one run does both.
    """
    by_rate, even = group.by_rate, problems[::2]
    rate = max(by_rate, key=lambda rate: choosing_accuracy(by_rate[rate], metric, problems))
    choosing, reported = split_seeds(by_rate[rate])
    best = _best_step(choosing, metric, common_steps(by_rate[rate]), even)
    itself = choosing == reported
    return Line(group.label, rate, list(by_rate), reported, problems[1::2], best, itself)


def whole_line(group: Group, metric: str, problems: np.ndarray) -> Line:
    """Return the line of a group with one rate, on all problems; they choose the best step too."""
    ((rate, runs),) = group.by_rate.items()
    best = _best_step(runs, metric, common_steps(runs), problems)
    return Line(group.label, rate, [rate], runs, problems, best, True)


def split_seeds(runs: list[EvaluatedRun]) -> tuple[list[EvaluatedRun], list[EvaluatedRun]]:
    """Return the seeds that choose, the first half rounded down, and those that are judged.

    A single one is both.
    """
    half = len(runs) // 2
    return (runs[:half], runs[half:]) if half else (runs, runs)


def choosing_accuracy(runs: list[EvaluatedRun], metric: str, problems: np.ndarray) -> float:
    """Return the accuracy after the last step by which a rate is chosen.

    That of the seeds that choose on the even-numbered problems.
    """
    choosing, _ = split_seeds(runs)
    return _mean(choosing, metric, runs[0].config["steps"], problems[::2])


def common_steps(runs: Sequence[EvaluatedRun]) -> list[int]:
    """Return the steps at which all runs were evaluated."""
    return sorted(set.intersection(*(set(run.scores["greedy"].index) for run in runs)))


def scores_after(
    runs: Sequence[EvaluatedRun], mode: str, step: int, problems: np.ndarray
) -> np.ndarray:
    """Return (runs, problems) scores after a step."""
    return np.stack([run.scores[mode].loc[step].to_numpy()[problems] for run in runs])


def _best_step(
    runs: Sequence[EvaluatedRun], metric: str, steps: list[int], problems: np.ndarray
) -> int:
    return max(steps, key=lambda step: _mean(runs, metric, step, problems))


def _mean(runs: Sequence[EvaluatedRun], metric: str, step: int, problems: np.ndarray) -> float:
    return float(scores_after(runs, metric, step, problems).mean())
