"""A picture of forecasts: error against λ, the best λ, and skill over training."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diagnostics.extrapolation.score import (
    BEST_ERROR,
    BEST_LAM,
    BEST_SKILL,
    ERROR,
    INITIAL,
    SKILL,
    lag_of,
)
from diagnostics.panels import COLOURS, MARKERS, style

LOWEST_SKILL = -1.0  # below, a forecast is worse than none, and how much worse would fill the axis


def draw_forecasts(
    table: pd.DataFrame, *, reference: str = INITIAL, step: int | None = None, lam: float = 1.0
) -> Figure:
    """Return a figure of four panels from a long table of scores (score.frame).

    Above, the error against λ at one step, and λ* over steps; below, skill over steps at λ* and at
    a fixed λ. More than four or five horizons are hard to tell apart: give a part of the table.

    reference: whose forecasts to show. step: of the first panel, by default the middle one of
    those that have every horizon. lam: the fixed λ, one of the table's.
    Raises ValueError where the table has no such forecasts, naming what it has.
    """
    for name, value in (("reference", reference), ("step", step), ("lam", lam)):
        known = table[name].dropna().unique()
        if value is not None and value not in known:
            raise ValueError(f"no forecast of {name} {value}; there are {list(known)}")
    table = table[table["reference"] == reference]
    errors = table[table["quantity"] == ERROR]
    horizons = sorted(table["horizon"].unique())
    if step is None:
        counts = errors.groupby("step")["horizon"].nunique()
        whole = sorted(counts[counts == counts.max()].index)
        step = int(whole[len(whole) // 2])
    with style():
        figure = Figure(figsize=(11.5, 8.4), layout="constrained")
        axes = figure.subplots(2, 2)
        styles = {k: (COLOURS[i % 10], MARKERS[i % 6]) for i, k in enumerate(horizons)}
        _errors(axes[0, 0], table[table["step"] == step], styles, step)
        _best_lams(axes[0, 1], table, styles, reference)
        best = table[table["quantity"] == BEST_SKILL]
        _skills(axes[1, 0], best, styles, "skill at λ*: 1 perfect, 0 as no forecast")
        fixed = table[(table["quantity"] == SKILL) & (table["lam"] == lam)]
        _skills(axes[1, 1], fixed, styles, f"skill at λ = {lam:g}; at the bottom: -1 or less")
        lag = lag_of(reference)
        start = "π₀" if lag is None else f"π of {lag} steps before"
        figure.suptitle(f"Forecasts of the policy k steps ahead, extrapolated from {start}")
    return figure


def _errors(axis: Axes, table: pd.DataFrame, styles: dict, step: int) -> None:
    for horizon, (colour, marker) in styles.items():
        rows = table[table["horizon"] == horizon]
        best = rows[rows["quantity"] == BEST_ERROR]
        line = pd.concat([rows[rows["quantity"] == ERROR], best]).sort_values("lam")
        axis.plot(line["lam"], line["value"], color=colour)
        axis.plot(best["lam"], best["value"], color=colour, marker=marker, ms=8, ls="none",
                  label=f"k = {horizon}")  # fmt: skip
    axis.set(xlabel="λ", ylabel="KL(π later ‖ forecast), nats", yscale="log")
    axis.set_title(f"error of forecasts made at step {step}, λ* marked", fontsize="medium")
    axis.legend(loc="best")


def _best_lams(axis: Axes, table: pd.DataFrame, styles: dict, reference: str) -> None:
    rows = table[table["quantity"] == BEST_LAM]
    _lines(axis, rows, styles)
    steps = rows["step"].sort_values().unique()
    age = steps.clip(max=lag_of(reference))
    for horizon, (colour, _) in styles.items():
        axis.plot(steps, horizon / age, color=colour, ls=":", lw=1.5)
    highest = rows["value"].quantile(0.95)
    axis.set(xlabel="step t", ylabel="λ*", ylim=(-0.05, max(1.0, 1.15 * highest)))
    axis.set_title("best λ; dotted: of movement at a steady speed", fontsize="medium")


def _skills(axis: Axes, rows: pd.DataFrame, styles: dict, title: str) -> None:
    _lines(axis, rows.assign(value=rows["value"].clip(lower=LOWEST_SKILL)), styles)
    axis.axhline(0, color="0.3", lw=1)
    axis.set(xlabel="step t", ylabel="skill", ylim=(LOWEST_SKILL - 0.05, 1.05))
    axis.set_title(title, fontsize="medium")


def _lines(axis: Axes, rows: pd.DataFrame, styles: dict) -> None:
    for horizon, (colour, marker) in styles.items():
        line = rows[rows["horizon"] == horizon].sort_values("step")
        axis.plot(line["step"], line["value"], color=colour, marker=marker, ms=5)
