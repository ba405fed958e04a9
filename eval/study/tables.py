"""The study's tables, each made of the records of its experiments, as text for the page."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from eval.compare.words import interval_text, p_value, share
from eval.statistics import (
    holm,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
    score_interval,
)
from eval.study.curves import ALL, ODD, Curve

MODE = "sampled"
EARLY = 100  # the last step that counts as early
REFERENCE = "sft"  # what differences are from: training on the correct rollouts alone


def rates_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return each line's best look at each rate that was tried, a star at the rate it chooses."""
    rates = sorted({curve.rate for curve in curves})
    rows = []
    for line in dict.fromkeys(curve.name for curve in curves):
        best = {c.rate: _best_of_all(c) for c in curves if c.name == line}
        chosen = _best_rate(best)
        cells = {
            f"{rate:g}": f"{share(best[rate][0])} ({best[rate][1]})" + "*" * (rate == chosen)
            if rate in best
            else ""
            for rate in rates
        }
        rows.append({"": line, **cells, "of best": max(value for value, _ in best.values())})
    table = pd.DataFrame(rows).sort_values("of best", ascending=False, kind="stable")
    return table.drop(columns="of best")


def chosen_rate(curves: Sequence[Curve], line: str) -> float:
    """Return the rate at which a line's best look is best, of equal ones the lowest."""
    return _best_rate({c.rate: _best_of_all(c) for c in curves if c.name == line})


def _best_rate(looks: dict[float, tuple[float, int]]) -> float:
    return max(sorted(looks), key=lambda rate: looks[rate][0])


def accuracies(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return numbers of each curve at its best step and after its last.

    The best step is chosen by all seeds on the even-numbered problems, and what stands there is of
    the odd-numbered ones, of all curves; after the last step nothing is chosen, and all problems
    count. Differences are from `sft`, paired by problem, with p adjusted for their number.
    """
    base = next(curve for curve in curves if curve.name == REFERENCE)
    rows = []
    for curve in curves:
        row: dict = {"line": curve.name, "rate": curve.rate, "seeds": len(curve.records)}
        row["best_step"], row["last_step"] = curve.best_step(), curve.steps[-1]
        at = {"best": (row["best_step"], base.best_step(), ODD)}
        at["last"] = (row["last_step"], base.steps[-1], ALL)
        for when, (step, other, problems) in at.items():
            own = curve.scores(MODE, step, problems)
            _put(row, when, score_interval(own))
            if curve is base:
                continue
            theirs = base.scores(MODE, other, problems)
            *difference, p = paired_difference(own, theirs)
            _put(row, f"{when}_difference", difference)
            row[f"{when}_p"] = p
        _put(row, "greedy", score_interval(curve.scores("greedy", row["last_step"])))
        row["flops"] = float(np.mean([r.run.result["flops"] for r in curve.records]))
        row["weight"] = curve.watched("coefficient_ratio/used", EARLY)
        for side in ("chosen", "rejected"):
            probe = curve.probe(side)
            row[side] = probe.loc[row["last_step"]] - probe.loc[0]
        rows.append(row)
    table = pd.DataFrame(rows)
    for when in ("best", "last"):
        tested = table[f"{when}_p"].notna()
        adjusted = np.full(len(table), math.nan)
        adjusted[tested.to_numpy()] = holm(table.loc[tested, f"{when}_p"].to_list())
        table[f"{when}_p"] = adjusted
    return table


def accuracy_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return `accuracies` as text, the best after the last step first."""
    rows = []
    for row in accuracies(curves).sort_values("last", ascending=False).to_dict("records"):
        rows.append({
            "": row["line"],
            "rate": f"{row['rate']:g}",
            "seeds": f"{row['seeds']}",
            "at best (step)": f"{interval_text(row, 'best')} ({row['best_step']})",
            "less sft's": _difference(row, "best"),
            "after the last": interval_text(row, "last"),
            "less sft's, last": _difference(row, "last"),
            "greedy, last": interval_text(row, "greedy"),
            "FLOPs": f"{row['flops']:.1e}".replace("e+", "e"),
            f"c_l / c_w at {EARLY}": share(abs(row["weight"])),
            "log-prob of chosen, rejected": f"{row['chosen']:+.2f}, {row['rejected']:+.2f}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def aggregates_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return other views of the accuracy after the last step (Agarwal et al., arXiv 2108.13264).

    The interquartile mean over seeds, the chance that a seed of a line beats one of `sft`, and the
    lowest and highest seed; the best first.
    """
    last = {curve.name: curve.scores(MODE, curve.steps[-1]).mean(axis=1) for curve in curves}
    rows = []
    for name in sorted(last, key=lambda name: -interquartile_mean(last[name])):
        beats = probability_of_improvement([last[name]], [last[REFERENCE]])
        rows.append({
            "": name,
            "interquartile mean": share(interquartile_mean(last[name])),
            "a seed beats sft's": "" if name == REFERENCE else share(beats),
            "lowest, highest seed": f"{share(min(last[name]))}, {share(max(last[name]))}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def horizons_table(horizons: dict[str, Sequence[Curve]]) -> pd.DataFrame:
    """Return what lines come to at each horizon: after the last step, and less `sft`'s.

    horizons: by what it is called, curves; lines that the first one has.
    """
    columns = {}
    for name, own in horizons.items():
        rows = accuracy_table(own).set_index("")
        columns[f"{name}: at best (step)"] = rows["at best (step)"]
        columns[f"{name}: after the last"] = rows["after the last"]
        columns[f"{name}: less sft's, last"] = rows["less sft's, last"]
    table = pd.DataFrame(columns)
    first = next(iter(columns.values()))
    return table.loc[first.index].fillna("").rename_axis("").reset_index()


def _difference(row: dict, when: str) -> str:
    if row["line"] == REFERENCE:
        return ""
    p = p_value(row[f"{when}_p"])
    return interval_text(row, f"{when}_difference", signed=True) + (f", p {p}" if p else "")


def _put(row: dict, name: str, values: Sequence[float]) -> None:
    for suffix, value in zip(("", "_low", "_high"), values, strict=True):
        row[name + suffix] = value


def _best_of_all(curve: Curve) -> tuple[float, int]:
    step = curve.best_step(MODE, ALL)
    return float(curve.scores(MODE, step).mean()), step


def samplings_table(samplings: dict[str, dict[tuple[str, float], np.ndarray]]) -> pd.DataFrame:
    """Return the accuracy of policies sampled in several ways, a row for each way.

    samplings: by the name of what was varied, (seeds, problems) scores by line and value.
    """
    rows = []
    for varied, scores in samplings.items():
        lines = dict.fromkeys(line for line, _ in scores)
        for value in dict.fromkeys(value for _, value in scores):
            row = {"": f"{varied} {value:g}"}
            for line in lines:
                own = scores.get((line, value))
                row[line] = "" if own is None else with_interval(score_interval(own))
            rows.append(row)
    return pd.DataFrame(rows)


def with_interval(values: Sequence[float], signed: bool = False) -> str:
    """Return a mean, its low and its high as text, empty for none."""
    row = dict(zip(("mean", "mean_low", "mean_high"), values, strict=True))
    return interval_text(row, "mean", signed)
