"""Runs compared: the learning rate of each objective, accuracies, differences from a baseline."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.compare.groups import Group, group_runs
from eval.compare.runs import COSTS, EvaluatedRun
from eval.statistics import holm, paired_bootstrap, score_interval
from objectives.errors import InputError

MODES = ("greedy", "sampled")


@dataclass(frozen=True)
class Line:
    """Seeds of one objective with one learning rate and one set of hyper-parameters."""

    label: str
    learning_rate: float
    runs: list[EvaluatedRun]
    problems: np.ndarray  # the numbers of those that are reported
    best_step: int

    @property
    def steps(self) -> list[int]:
        """Steps at which every seed was evaluated."""
        return _common_steps(self.runs)

    def has(self, mode: str) -> bool:
        """Say whether every seed was evaluated in a mode, greedy or sampled."""
        return all(mode in run.scores for run in self.runs)

    def scores(self, mode: str, step: int) -> np.ndarray:
        """Return (seeds, problems) scores of the reported problems in a mode that all have."""
        return _scores(self.runs, mode, step, self.problems)

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


@dataclass(frozen=True)
class Comparison:
    """A table of lines, and what it was made of."""

    table: pd.DataFrame  # a row per line, in numbers
    lines: list[Line]  # in the order of the table
    baseline: str
    metric: str
    sweep: pd.DataFrame | None  # labels x learning rates, None where no objective has several
    sweep_seeds: pd.DataFrame | None  # of the same shape: how many seeds each is the mean of
    problems: int  # of the evaluations; half of them are reported where there is a sweep


def compare_runs(runs: Sequence[EvaluatedRun], metric: str, baseline: str) -> Comparison:
    """Compare objectives by `metric`, greedy or sampled, with `baseline`, a name or a line's label.

    Where an objective has several learning rates, the reported one has the highest accuracy after
    the last step, mean of its seeds, on the even-numbered problems (of equal ones the lowest), and
    all that is reported is of the odd-numbered ones. The best step is that of the highest accuracy
    on the problems of that choice, or, without one, on all, which are then those reported.
    Raises InputError where runs cannot be compared or the baseline is not one of them.
    """
    groups = group_runs(runs)
    for run in runs:
        if metric not in run.scores:
            raise InputError(f"--metric {metric}: {run.path} has no {metric} completions")
    several = any(len(group.by_rate) > 1 for group in groups)
    numbers = np.arange(len(runs[0].problems))
    chosen_on, reported = (numbers[::2], numbers[1::2]) if several else (numbers, numbers)
    if not len(reported):
        raise InputError(
            "one problem: a learning rate cannot be chosen on one and judged by another"
        )
    lines = [_line(group, metric, chosen_on, reported) for group in groups]
    lines.sort(key=lambda line: -line.scores(metric, line.steps[-1]).mean())
    base = _find_baseline(baseline, groups)
    table = pd.DataFrame([_row(line, metric) for line in lines])
    table = pd.concat([table, _differences(lines, base, metric), _costs(lines)], axis=1)
    sweep = seeds = None
    if several:
        sweep = _by_rate(groups, lambda seeds: _last_accuracy(seeds, metric, chosen_on))
        seeds = _by_rate(groups, len)
    return Comparison(table, lines, base, metric, sweep, seeds, len(numbers))


def _line(group: Group, metric: str, chosen_on: np.ndarray, reported: np.ndarray) -> Line:
    rate = max(group.by_rate, key=lambda r: _last_accuracy(group.by_rate[r], metric, chosen_on))
    runs = group.by_rate[rate]
    means = {s: _scores(runs, metric, s, chosen_on).mean() for s in _common_steps(runs)}
    return Line(group.label, rate, runs, reported, max(means, key=lambda step: means[step]))


def _common_steps(runs: Sequence[EvaluatedRun]) -> list[int]:
    return sorted(set.intersection(*(set(run.scores["greedy"].index) for run in runs)))


def _scores(runs: Sequence[EvaluatedRun], mode: str, step: int, problems: np.ndarray) -> np.ndarray:
    return np.stack([run.scores[mode].loc[step].to_numpy()[problems] for run in runs])


def _last_accuracy(runs: Sequence[EvaluatedRun], metric: str, problems: np.ndarray) -> float:
    return float(_scores(runs, metric, runs[0].config["steps"], problems).mean())


def _find_baseline(name: str, groups: Sequence[Group]) -> str:
    labels = [group.label for group in groups]
    own = [group.label for group in groups if name in (group.objective, group.label)]
    if len(own) != 1:
        reason = "is several" if own else "is not among the runs"
        raise InputError(f"--baseline {name} {reason}: name one of {', '.join(own or labels)}")
    return own[0]


def _row(line: Line, metric: str) -> dict:
    last = line.steps[-1]
    row = {
        "objective": line.label,
        "seeds": len(line.runs),
        "learning_rate": line.learning_rate,
        "best_step": line.best_step,
        "last_step": last,
    }
    for mode in MODES:
        for name, step in (("start", 0), ("best", line.best_step), ("last", last)):
            none = (math.nan,) * 3
            values = score_interval(line.scores(mode, step)) if line.has(mode) else none
            for suffix, value in zip(("", "_low", "_high"), values, strict=True):
                row[f"{mode}_{name}{suffix}"] = value
    return row | {"drop": row[f"{metric}_best"] - row[f"{metric}_last"]}


def _differences(lines: Sequence[Line], baseline: str, metric: str) -> pd.DataFrame:
    base = next(line for line in lines if line.label == baseline)
    lasts = [line.scores(metric, line.steps[-1]) for line in lines]
    other = base.scores(metric, base.steps[-1])
    rows = [paired_bootstrap(own, other) for own in lasts]
    names = ["difference", "difference_low", "difference_high", "p_value"]
    table = pd.DataFrame(rows, columns=names).astype(float)
    itself = [line is base for line in lines]
    table.loc[itself] = np.nan
    table["p_adjusted"] = np.nan
    rest = np.logical_not(itself)
    table.loc[rest, "p_adjusted"] = holm(table.loc[rest, "p_value"].to_list())
    return table


def _costs(lines: Sequence[Line]) -> pd.DataFrame:
    """Return the seeds' mean costs, empty where a run does not tell."""
    rows = []
    for line in lines:
        totals = {name: line.costs(name) for name in COSTS}
        rows.append({
            "tokens_trained": _mean(line, "tokens_trained", totals["num_tokens"]),
            "tokens_generated": _mean(line, "tokens_generated", totals["num_tokens_generated"]),
            "flops": _mean(line, "flops", totals["flops"]),
            "seconds": _mean(line, "seconds"),
            "peak_memory_bytes": _mean(line, "peak_memory_bytes"),
        })  # fmt: skip
    return pd.DataFrame(rows, dtype=float)


def _mean(line: Line, name: str, metrics: pd.Series | None = None) -> float:
    values = [run.result[name] for run in line.runs if run.result.get(name) is not None]
    if len(values) == len(line.runs):
        return float(np.mean(values))
    return float("nan") if metrics is None else float(metrics.iloc[-1])


def _by_rate(groups: Sequence[Group], measure: Callable) -> pd.DataFrame:
    cells = {
        group.label: {rate: measure(seeds) for rate, seeds in group.by_rate.items()}
        for group in groups
    }
    return pd.DataFrame.from_dict(cells, orient="index").sort_index(axis=1)
