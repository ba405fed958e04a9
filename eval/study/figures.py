"""The study's figures, each made of the curves of one experiment."""

import math
from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval.study.curves import Curve
from eval.study.tables import MODE, REFERENCE, accuracies

PALETTE = sns.color_palette("colorblind")
# A colour for each kind of objective, the same in every figure.
KINDS = {
    "correct rollouts alone": (PALETTE[2], ("sft", "awr", "psr")),
    "incorrect ones weighed at the future policy": (PALETTE[0], ("fpa", "guarded_fpa")),
    "pairs": (PALETTE[1], ("dpo", "rpo", "dpop", "gate_dpo", "simper", "guarded_dpo")),
    "its own samples": (PALETTE[4], ("online",)),
    "other": (PALETTE[3], ()),
}
ACROSS = 4
COMPARED = ("online", "sft", "fpa-neg-6", "offline_rl-0.1")  # by what they cost


def colour(line: str) -> tuple:
    """Return a line's colour: of its objective's kind."""
    for own, names in KINDS.values():
        if any(line == name or line.startswith((f"{name}-", f"{name}_")) for name in names):
            return own
    return KINDS["other"][0]


def draw_steps(curves: Sequence[Curve]) -> Figure:
    """Return sampled accuracy over steps: a panel a line, 95 % bands, `sft` dashed in each."""
    tables = {curve.name: curve.table(MODE) for curve in curves}
    ordered = sorted(tables, key=lambda name: -tables[name]["mean"].iloc[-1])
    rows = math.ceil(len(ordered) / ACROSS)
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(2.8 * ACROSS, 0.5 + 2.2 * rows), layout="constrained")
        axes = figure.subplots(rows, ACROSS, sharex=True, sharey=True, squeeze=False).flatten()
        for axis, name in zip(axes, ordered, strict=False):
            own, base = tables[name], tables[REFERENCE]
            axis.plot(base.index, base["mean"], color="0.35", lw=1.3, ls=(0, (4, 2)))
            axis.fill_between(
                own.index, own["low"], own["high"], color=colour(name), alpha=0.25, lw=0
            )
            axis.plot(own.index, own["mean"], color=colour(name), lw=2.2)
            axis.set_title(name, fontsize="medium")
            axis.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axis.set_ylim(0, None)
        for axis in axes[len(ordered) :]:
            axis.remove()
        for axis in axes[max(0, len(ordered) - ACROSS) : len(ordered)]:
            axis.tick_params(labelbottom=True)
        figure.supxlabel("step", fontsize="medium")
        figure.supylabel(f"{MODE} accuracy", fontsize="medium")
    return figure


def draw_differences(curves: Sequence[Curve]) -> Figure:
    """Return how far each line is from `sft`, at its best and after the last step, with intervals.

    Filled: p, adjusted for the number of lines, is below .05.
    """
    table = accuracies(curves).sort_values("last", ascending=False)
    table = table[table["line"] != REFERENCE].reset_index(drop=True)
    titles = {"best": "at the best step of each", "last": "after the last step"}
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(10, 1.3 + 0.36 * len(table)), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True, sharex=True)
        for axis, (when, title) in zip(axes, titles.items(), strict=True):
            for place, row in enumerate(table.to_dict("records")):
                own, name = colour(row["line"]), f"{when}_difference"
                axis.plot([row[f"{name}_low"], row[f"{name}_high"]], [place] * 2, color=own, lw=2.4)
                face = own if row[f"{when}_p"] < 0.05 else "white"
                axis.plot(row[name], place, "o", color=own, mfc=face, ms=7)
            axis.axvline(0, color="0.3", lw=1)
            axis.set_title(title, fontsize="medium")
            axis.set_yticks(table.index, table["line"])
            axis.grid(axis="y", visible=False)
        axes[0].invert_yaxis()
        figure.supxlabel(f"{MODE} accuracy, less that of {REFERENCE}", fontsize="medium")
    return figure


def draw_compute(curves: Sequence[Curve]) -> Figure:
    """Return the COMPARED lines' sampled accuracy against FLOPs, rollouts included; 95 % bands."""
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axis = figure.subplots()
        for name, marker in zip(COMPARED, "osD^", strict=True):
            curve = next(curve for curve in curves if curve.name == name)
            own = curve.table(MODE).loc[1:]  # before the first step nothing was paid for
            spent = pd.concat([record.run.costs["flops"] for record in curve.records], axis=1)
            paid = spent.mean(axis=1).loc[own.index] / 1e12
            axis.fill_between(paid, own["low"], own["high"], color=colour(name), alpha=0.15, lw=0)
            axis.plot(paid, own["mean"], f"{marker}-", color=colour(name), lw=2, ms=5, label=name)
        axis.axhline(curve.table(MODE)["mean"].loc[0], color="0.35", lw=1.3, ls=(0, (4, 2)))
        axis.set_xlim(0, None)
        axis.set_xlabel("$10^{12}$ FLOPs, training and rollouts")
        axis.set_ylabel(f"{MODE} accuracy")
        axis.legend(frameon=False, loc="lower right")
    return figure
