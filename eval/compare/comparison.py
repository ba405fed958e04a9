"""Runs compared: the learning rate of each objective, accuracies, differences from a baseline."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.compare.groups import Group, group_runs
from eval.compare.lines import (
    Line,
    choosing_accuracy,
    chosen_line,
    scores_after,
    split_seeds,
    whole_line,
)
from eval.compare.runs import COSTS, EvaluatedRun
from eval.statistics import (
    holm,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
    score_interval,
)
from objectives.errors import InputError

MODES = ("greedy", "sampled")


@dataclass(frozen=True)
class Sweep:
    """What is known of all learning rates; tables whose rows are the labels of lines."""

    accuracy: pd.DataFrame  # by rate, of the seeds and on the problems that choose
    seeds: pd.DataFrame  # by rate: how many seeds that is the mean of
    over_rates: pd.DataFrame  # iqm and p_better of all seeds and rates, on all problems


@dataclass(frozen=True)
class Comparison:
    """A table of lines, and what it was made of."""

    table: pd.DataFrame  # a row per line, in numbers
    lines: list[Line]  # in the order of the table
    baseline: str
    metric: str
    sweep: Sweep | None  # None where no objective has several learning rates
    problems: int  # of the evaluations; half of them are reported where there is a sweep


def compare_runs(runs: Sequence[EvaluatedRun], metric: str, baseline: str) -> Comparison:
    """Compare objectives by `metric`, greedy or sampled, with `baseline`, a name or a line's label.

    Where an objective has several learning rates, those with the lower numbers of each rate's
    seeds choose it, on the even-numbered problems, and all that is reported, of every objective, is
    of the other seeds on the odd-numbered problems (`chosen_line`). Otherwise all seeds and
    problems are reported, and the best step is chosen by them.
    Raises InputError where runs cannot be compared or the baseline is not one of them.
    """
    groups = group_runs(runs)
    for run in runs:
        if metric not in run.scores:
            raise InputError(f"--metric {metric}: {run.path} has no {metric} completions")
    several = any(len(group.by_rate) > 1 for group in groups)
    problems = np.arange(len(runs[0].problems))
    if several and len(problems) == 1:
        raise InputError(
            "one problem: a learning rate cannot be chosen on one and judged by another"
        )
    make = chosen_line if several else whole_line
    lines = [make(group, metric, problems) for group in groups]
    lines.sort(key=lambda line: -line.scores(metric, line.steps[-1]).mean())
    base = _find_baseline(baseline, groups)
    table = pd.DataFrame([_row(line, metric) for line in lines])
    table = pd.concat([table, _differences(lines, base, metric), _costs(lines)], axis=1)
    sweep = _sweep(groups, base, metric, problems) if several else None
    return Comparison(table, lines, base, metric, sweep, len(problems))


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
        "rates": len(line.tried),
        "best_step": line.best_step,
        "last_step": last,
    }
    for mode in MODES:
        for name, step in (("start", 0), ("best", line.best_step), ("last", last)):
            none = (math.nan,) * 3
            values = score_interval(line.scores(mode, step)) if line.has(mode) else none
            for suffix, value in zip(("", "_low", "_high"), values, strict=True):
                row[f"{mode}_{name}{suffix}"] = value
    row["iqm_last"] = interquartile_mean(line.scores(metric, last).mean(axis=1).tolist())
    return row | {"drop": row[f"{metric}_best"] - row[f"{metric}_last"]}


def _differences(lines: Sequence[Line], baseline: str, metric: str) -> pd.DataFrame:
    base = next(line for line in lines if line.label == baseline)
    lasts = [line.scores(metric, line.steps[-1]) for line in lines]
    other = base.scores(metric, base.steps[-1])
    names = ["difference", "difference_low", "difference_high", "p_value"]
    table = pd.DataFrame([paired_difference(own, other) for own in lasts], columns=names)
    table = table.astype(float)
    table["p_better"] = [_better(own, other) for own in lasts]
    table.loc[[line is base for line in lines]] = np.nan
    tested = table["p_value"].notna()
    table["p_adjusted"] = np.nan
    table.loc[tested, "p_adjusted"] = holm(table.loc[tested, "p_value"].to_list())
    return table


def _better(own: np.ndarray, other: np.ndarray) -> float:
    """Return the probability of improvement over seeds, nan where a side has one."""
    if min(len(own), len(other)) == 1:
        return math.nan
    return probability_of_improvement([own.mean(axis=1)], [other.mean(axis=1)])


def _sweep(groups: Sequence[Group], baseline: str, metric: str, problems: np.ndarray) -> Sweep:
    base = next(group for group in groups if group.label == baseline)
    rows = {}
    for group in groups:
        own, other = (_last_by_rate(g, metric, problems) for g in (group, base))
        shared = [rate for rate in own if rate in other]
        rows[group.label] = {
            "iqm": interquartile_mean(np.concatenate(list(own.values())).tolist()),
            "p_better": probability_of_improvement(
                [own[rate] for rate in shared], [other[rate] for rate in shared]
            )
            if shared and group is not base
            else math.nan,
        }
    return Sweep(
        _by_rate(groups, lambda seeds: choosing_accuracy(seeds, metric, problems)),
        _by_rate(groups, lambda seeds: len(split_seeds(seeds)[0])),
        pd.DataFrame.from_dict(rows, orient="index"),
    )


def _last_by_rate(group: Group, metric: str, problems: np.ndarray) -> dict[float, np.ndarray]:
    """Return the accuracies of all runs after the last step, (seeds,) of each rate."""
    return {
        rate: scores_after(runs, metric, runs[0].config["steps"], problems).mean(axis=1)
        for rate, runs in group.by_rate.items()
    }


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
