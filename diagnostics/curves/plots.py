"""Pictures of `diagnostics.csv`: one run's, and several runs' side by side."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from diagnostics.curves.measures import (
    COSINE,
    COSINE_PART,
    FORGOTTEN,
    GAINED,
    INSIDE,
    LOG_PROB,
    QUANTILE,
    RATIO,
    REGIME,
)
from diagnostics.extrapolation.plot import LOWEST_SKILL
from diagnostics.extrapolation.score import BEST_SKILL, SKILL, lag_of
from diagnostics.extrapolation.table_file import read_long_table
from diagnostics.panels import COLOURS, MARKERS, panel_grid, save, style

FILE = "diagnostics.csv"
FIXED_LAM = 1.0  # what the dashed lines of skill forecast with
UNDERNEATH = {"lw": 3.5, "ms": 9}  # of the first line, so that it shows where another covers it
SHARE = (-0.03, 1.03)  # limits of y
MOST_IN_ONE = 6  # runs that can be told apart
LABELS = {
    f"{LOG_PROB}/chosen": "chosen",
    f"{LOG_PROB}/rejected": "rejected",
    f"{LOG_PROB}/shared_in_chosen": "shared, in chosen",
    f"{QUANTILE}/chosen": "chosen",
    f"{QUANTILE}/rejected": "rejected",
    COSINE: "cosine",
    f"{COSINE_PART}/shared_shared": "of shared tokens",
    f"{COSINE_PART}/distinct_distinct": "of distinct tokens",
    f"{COSINE_PART}/mixed": "mixed",
    f"{REGIME}/ideal": "chosen up, rejected down",
    f"{REGIME}/both up": "both up",
    f"{REGIME}/both down": "both down",
    f"{INSIDE}/now": "at the policy",
    f"{INSIDE}/ahead": "at the future policy",
    GAINED: "gained",
    FORGOTTEN: "forgotten",
}
# Title, y label, what its quantities begin with, limits of y where they are known.
PANELS = [
    ("probe tokens", "mean log-prob", f"{LOG_PROB}/", None),
    ("the least likely tenth", "10 % quantile of probability", f"{QUANTILE}/", None),
    ("gradients of a pair", "mean cosine, and its parts", COSINE, None),
    ("what a step does to pairs", "share of pairs", f"{REGIME}/", SHARE),
    ("coefficients inside the window", "share of pairs", f"{INSIDE}/", SHARE),
    ("since the evaluation before", "problems", "problems/", None),
]
# Title, y label, quantity, limits of y where they are known.
COMPARED_PANELS = [
    ("chosen", "mean log-prob of probe tokens", f"{LOG_PROB}/chosen", None),
    ("shared tokens, in chosen", "mean log-prob", f"{LOG_PROB}/shared_in_chosen", None),
    ("rejected", "mean log-prob of probe tokens", f"{LOG_PROB}/rejected", None),
    ("gradients of a pair", "mean cosine", COSINE, None),
    ("chosen up and rejected down", "share of pairs", f"{REGIME}/ideal", SHARE),
    ("weight of rejected over chosen", "median ratio", f"{RATIO}/used", None),
]


def plot_diagnostics(folder: Path, title: str) -> Path | None:
    """Draw a run's `diagnostics.csv` as plots/diagnostics.png; None where there is none."""
    source = folder / FILE
    if not source.exists():
        return None
    table = read_long_table(source).sort_values("step", kind="stable")
    panels = [panel for panel in PANELS if table["quantity"].str.startswith(panel[2]).any()]
    skills = table[table["quantity"].isin((BEST_SKILL, SKILL))]
    if not panels and not len(skills):
        return None
    with style():
        figure, axes = panel_grid(len(panels) + bool(len(skills)), across=4, height=3.9)
        for axis, (name, label, prefix, limits) in zip(axes, panels, strict=False):
            present = set(table["quantity"][table["quantity"].str.startswith(prefix)])
            for number, quantity in enumerate(name for name in LABELS if name in present):
                size = {"ms": 5} if number else UNDERNEATH
                rows = table[table["quantity"] == quantity]
                _line(axis, rows, number, label=LABELS[quantity], **size)
            axis.legend(loc="best", fontsize="small")
            axis.set(xlabel="step", ylabel=label, ylim=limits)
            axis.set_title(name, fontsize="medium")
        if len(skills):
            _skills(axes[-1], skills)
        figure.suptitle(title)
        path = folder / "plots" / "diagnostics.png"
        save(figure, path, dpi=110)
    return path


def plot_diagnoses(folders: dict[str, Path], target: Path) -> Path | None:
    """Draw runs' `diagnostics.csv`, a line each; None where fewer than two can be compared.

    folders: by name; the runs beyond MOST_IN_ONE are left out.
    """
    tables = {
        name: read_long_table(path / FILE).sort_values("step")
        for name, path in folders.items()
        if (path / FILE).exists()
    }
    present = {quantity for table in tables.values() for quantity in table["quantity"]}
    panels = [panel for panel in COMPARED_PANELS if panel[2] in present]
    if len(tables) < 2 or not panels:
        return None
    with style():
        across = 3
        figure, axes = panel_grid(len(panels), across=across, height=3.7, sharex=True)
        for axis, (title, label, quantity, limits) in zip(axes, panels, strict=True):
            for number, (name, table) in enumerate(list(tables.items())[:MOST_IN_ONE]):
                _line(axis, table[table["quantity"] == quantity], number, marks=8, label=name, ms=5)
            axis.set(ylabel=label, ylim=limits)
            axis.set_title(title, fontsize="medium")
        for axis in axes[-across:]:
            axis.set_xlabel("step")
            axis.tick_params(labelbottom=True)
        axes[0].legend(loc="best", fontsize="small")
        save(figure, target, dpi=110)
    return target


def _skills(axis: Axes, table: pd.DataFrame) -> None:
    reference = sorted(table["reference"].unique())[-1]  # the lagged one where there is one
    table = table[table["reference"] == reference]
    table = table.assign(value=table["value"].clip(lower=LOWEST_SKILL))
    fixed = table[(table["quantity"] == SKILL) & (table["lam"] == FIXED_LAM)]
    best = table[table["quantity"] == BEST_SKILL]
    for number, horizon in enumerate(sorted(table["horizon"].unique())):
        label = f"{horizon:g} steps ahead"
        _line(axis, best[best["horizon"] == horizon], number, label=label, ls="-", ms=5)
        _line(axis, fixed[fixed["horizon"] == horizon], number, ls="--", ms=3)
    axis.axhline(0, color="0.3", lw=1)
    axis.set(xlabel="step of the forecast", ylabel="skill (1: perfect, 0: as none)",
             ylim=(LOWEST_SKILL - 0.05, 1.05))  # fmt: skip
    lag = lag_of(reference)
    start = "π₀" if lag is None else f"π {lag} steps before"
    axis.set_title(f"forecast from {start}: λ*, dashed λ = 1", fontsize="medium")
    axis.legend(loc="best", fontsize="small")


def _line(axis: Axes, rows: pd.DataFrame, number: int, *, marks: int = 12, **how) -> None:
    """Draw values over steps in a number's colour, with its marker at about `marks` of them."""
    axis.plot(
        rows["step"], rows["value"], color=COLOURS[number], marker=MARKERS[number % len(MARKERS)],
        markevery=max(1, len(rows) // marks), **how,
    )  # fmt: skip
