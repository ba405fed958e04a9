"""Figures of a comparison: accuracy over steps and compute, problems gained, differences."""

import math
from io import BytesIO
from textwrap import fill

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from eval.compare.comparison import Comparison, Line
from eval.compare.html_report import Picture
from eval.compare.words import p_value
from objectives.figures import literal

BLUE, ORANGE = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[1]
OTHERS = {"color": "0.78", "lw": 1.2}
BASELINE = {"color": "0.25", "lw": 1.4, "ls": (0, (4, 2)), "zorder": 2.5}
TITLE_WIDTH = 28  # characters of a panel's title in one line
DPI = 130
COLUMNS = 5  # most panels beside one another
COMPUTE = {"flops": "FLOPs, estimated", "num_tokens": "tokens trained"}


def pictures(comparison: Comparison) -> list[Picture]:
    """Return the figures that the runs have the numbers for, drawn."""
    base = comparison.baseline
    figures = [
        ("accuracy_over_steps", "Accuracy over steps", draw_steps(comparison),
         "Mean over seeds, the band from the lowest seed to the highest"
         + (f"; the other objectives in grey, {base} dashed." if comparison.lines[1:] else ".")),
        ("accuracy_over_compute", "Accuracy over compute", draw_compute(comparison),
         "The same over what training had cost by then; dotted: before training."),
        ("differences", f"Differences from {base}", draw_differences(comparison),
         "95 % intervals over problems and, where there are several, seeds; blue where p, adjusted "
         "for the number of comparisons, is below .05; with one seed there is no p."),
        ("problems", "Problems gained and forgotten", draw_problems(comparison),
         "Greedy answers, mean over seeds: wrong then and right at the end (gained), right then "
         "and wrong at the end (forgotten)."),
    ]  # fmt: skip
    drawn = []
    for name, heading, figure, caption in figures:
        if figure is not None:
            content = BytesIO()
            literal(figure)
            figure.savefig(content, format="png", dpi=DPI)
            inches = float(figure.get_figwidth())
            drawn.append(Picture(name, heading, caption, content.getvalue(), inches))
    return drawn


def draw_steps(comparison: Comparison) -> Figure:
    """Return accuracy over steps: a panel per line, the others in grey, seeds as a band."""
    curves = [_Curve(line, comparison.metric) for line in comparison.lines]
    return _panels(comparison, curves, "step")


def draw_compute(comparison: Comparison) -> Figure | None:
    """Return accuracy over what training cost by then; None where runs do not all tell it."""
    for name, label in COMPUTE.items():
        costs = [line.costs(name) for line in comparison.lines]
        if all(cost is not None and cost.notna().all() for cost in costs):
            curves = [
                _Curve(line, comparison.metric, cost)
                for line, cost in zip(comparison.lines, costs, strict=True)
            ]
            return _panels(comparison, curves, label, logarithmic=True)
    return None


class _Curve:
    """Accuracy of a line over steps or costs; without the start where that cost nothing."""

    def __init__(self, line: Line, metric: str, costs: pd.Series | None = None):
        table = line.accuracies(metric)
        self.label, self.start = line.label, float(table.iloc[0].mean())
        x = pd.Series(table.index, table.index) if costs is None else costs
        shown = x.index if costs is None else x.index[(x > 0).to_numpy()]
        self.x, table = x.loc[shown].to_numpy(), table.loc[shown]
        self.mean = table.mean(axis=1).to_numpy()
        self.low, self.high = table.min(axis=1).to_numpy(), table.max(axis=1).to_numpy()


def _panels(
    comparison: Comparison, curves: list[_Curve], label: str, logarithmic: bool = False
) -> Figure:
    rows = math.ceil(len(curves) / COLUMNS)
    columns = math.ceil(len(curves) / rows)
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        figure = Figure(figsize=(1 + 3 * columns, 0.6 + 2.6 * rows), layout=layout)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axis, own in zip(axes, curves, strict=False):
            for other in curves:
                if other is not own:
                    style = BASELINE if other.label == comparison.baseline else OTHERS
                    axis.plot(other.x, other.mean, **style)
            axis.fill_between(own.x, own.low, own.high, color=BLUE, alpha=0.25, lw=0)
            axis.plot(own.x, own.mean, color=BLUE, lw=2.4, marker="o", ms=4.5)
            if logarithmic:
                axis.axhline(own.start, color="0.35", lw=1.2, ls=":")
                _scale(axis, curves)
            else:
                axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axis.set_title(fill(own.label, TITLE_WIDTH), fontsize="medium")
            axis.set_ylim(-0.02, 1.02)
        for axis in axes[len(curves) :]:
            axis.remove()
        for axis in axes[max(0, len(curves) - columns) : len(curves)]:
            axis.tick_params(labelbottom=True)
        figure.supxlabel(label, fontsize="medium")
        figure.supylabel(f"{comparison.metric} accuracy", fontsize="medium")
    return figure


def _scale(axis: Axes, curves: list[_Curve]) -> None:
    """Make an axis logarithmic where it spans a decade, with a few labels that fit."""
    lowest, highest = min(c.x.min() for c in curves), max(c.x.max() for c in curves)
    if highest / lowest >= 10:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3) if highest / lowest < 100 else (1,)))
    else:
        axis.xaxis.set_major_locator(MaxNLocator(3))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}".replace("e+", "e"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def gained_and_forgotten(comparison: Comparison) -> pd.DataFrame:
    """Return shares of problems, by greedy answers, that training gained and forgot.

    Columns: objective, since (start or best), gained (wrong then, right after the last step),
    forgotten (right then, wrong after the last step): means over seeds.
    """
    rows = []
    for line in comparison.lines:
        last = line.scores("greedy", line.steps[-1])
        for since, step in (("start", line.steps[0]), ("best", line.best_step)):
            then = line.scores("greedy", step)
            gained, forgotten = (last > then).mean(), (last < then).mean()
            rows.append((line.label, since, gained, forgotten))
    return pd.DataFrame(rows, columns=["objective", "since", "gained", "forgotten"])


def draw_problems(comparison: Comparison) -> Figure:
    """Return the problems gained and forgotten since the start and since the best step, as bars."""
    table = gained_and_forgotten(comparison)
    titles = {"start": "from before training to the end", "best": "from the best step to the end"}
    height = 1.3 + 0.42 * len(comparison.lines)
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(11, height), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True, sharex=True)
        for axis, (since, title) in zip(axes, titles.items(), strict=True):
            own = table.loc[table["since"] == since].reset_index(drop=True)
            axis.barh(own.index, own["gained"], color=BLUE, height=0.7)
            axis.barh(own.index, -own["forgotten"], color=ORANGE, height=0.7)
            for place, row in enumerate(own.to_dict("records")):
                _value(axis, row["gained"], place, 1)
                _value(axis, row["forgotten"], place, -1)
            axis.axvline(0, color="0.3", lw=1)
            axis.set_title(title, fontsize="medium")
            axis.set_yticks(own.index, own["objective"])
            axis.grid(axis="y", visible=False)
            axis.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0%}")
            axis.xaxis.set_major_locator(MaxNLocator(6))
        widest = [max(0.02, *table[side].to_list()) for side in ("gained", "forgotten")]
        margin = 0.13 * sum(widest)
        axes[0].set_xlim(-widest[1] - margin, widest[0] + margin)
        axes[0].invert_yaxis()
        figure.supxlabel("forgotten  ←  share of problems  →  gained", fontsize="medium")
    return figure


def _value(axis: Axes, size: float, place: int, side: int) -> None:
    text = f"{100 * size:.1f}"
    axis.annotate(
        text, (side * size, place), (side * 4, 0), textcoords="offset points", va="center",
        ha="left" if side > 0 else "right", fontsize="small", color="0.3",
    )  # fmt: skip


def draw_differences(comparison: Comparison) -> Figure | None:
    """Return the differences from the baseline with their intervals; None without any."""
    table = comparison.table.dropna(subset="difference").reset_index(drop=True)
    if table.empty:
        return None
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(9, 1.4 + 0.42 * len(table)), layout="constrained")
        axis = figure.subplots()
        for place, row in enumerate(table.to_dict("records")):
            mean, p = row["difference"], row["p_adjusted"]
            colour = BLUE if p < 0.05 else "0.5"
            ends = [row["difference_low"], row["difference_high"]]
            axis.plot(ends, [place] * 2, color=colour, lw=2.4, solid_capstyle="butt")
            axis.plot(mean, place, "o", color=colour, ms=7)
            shown = "" if math.isnan(p) else f"   p = {p_value(p)}".replace("= <", "< ")
            axis.annotate(
                f"{mean:+.3f}{shown}".replace("0.", ".", 1),
                (1.02, place), xycoords=("axes fraction", "data"), va="center",
                fontsize="small", annotation_clip=False,
            )  # fmt: skip
        axis.axvline(0, color="0.3", lw=1)
        left = min(0.0, *table["difference_low"].to_list())
        right = max(0.0, *table["difference_high"].to_list())
        margin = 0.06 * (right - left) or 0.01
        axis.set_xlim(left - margin, right + margin)
        axis.set_ylim(len(table) - 0.4, -0.6)
        axis.set_yticks(table.index, table["objective"])
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(f"{comparison.metric} accuracy after the last step, less that of "
                        f"{comparison.baseline}")  # fmt: skip
    return figure
