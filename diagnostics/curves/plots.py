"""Pictures of `diagnostics.csv`: one run's, and several runs' side by side."""

import math
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = sns.color_palette("colorblind")
MARKERS = "osD^vP"
COLUMNS = 4
LOWEST_SKILL = -1.0  # below, a forecast is worse than none, and how much worse would fill the axis
FIXED_LAM = 1.0  # what the dashed lines of skill forecast with
UNDERNEATH = {"lw": 3.5, "ms": 9}  # of the first line, so that it shows where another covers it
LABELS = {
    "mean_log_prob/chosen": "chosen",
    "mean_log_prob/rejected": "rejected",
    "mean_log_prob/shared_in_chosen": "shared, in chosen",
    "token_probability_quantile_10/chosen": "chosen",
    "token_probability_quantile_10/rejected": "rejected",
    "cosine": "cosine",
    "cosine_part/shared_shared": "of shared tokens",
    "cosine_part/distinct_distinct": "of distinct tokens",
    "cosine_part/mixed": "mixed",
    "regime/ideal": "chosen up, rejected down",
    "regime/both up": "both up",
    "regime/both down": "both down",
    "inside_window/now": "at the policy",
    "inside_window/ahead": "at the future policy",
    "problems/gained": "gained",
    "problems/forgotten": "forgotten",
}
# Title, y label, quantities, limits of y where they are known.
PANELS = [
    ("probe tokens", "mean log-prob", "mean_log_prob/", None),
    ("the least likely tenth", "10 % quantile of probability", "token_probability_quantile", None),
    ("gradients of a pair", "mean cosine, and its parts", "cosine", None),
    ("what a step does to pairs", "share of pairs", "regime/", (-0.03, 1.03)),
    ("coefficients inside the window", "share of pairs", "inside_window/", (-0.03, 1.03)),
    ("since the evaluation before", "problems", "problems/", None),
]


def plot_diagnostics(folder: Path, title: str) -> Path | None:
    """Draw a run's `diagnostics.csv` as plots/diagnostics.png; None where there is none."""
    source = folder / "diagnostics.csv"
    if not source.exists():
        return None
    table = pd.read_csv(source)
    panels = [panel for panel in PANELS if table["quantity"].str.startswith(panel[2]).any()]
    skills = table[table["quantity"].isin(("best_lam_skill", "forecast_skill"))]
    count = len(panels) + bool(len(skills))
    if not count:
        return None
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(4.6 * columns, 3.9 * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        axes = figure.subplots(rows, columns, squeeze=False).flatten()
        for axis, (name, label, prefix, limits) in zip(axes, panels, strict=False):
            _lines(axis, table[table["quantity"].str.startswith(prefix)])
            axis.set(xlabel="step", ylabel=label, ylim=limits)
            axis.set_title(name, fontsize="medium")
        if len(skills):
            _skills(axes[len(panels)], skills)
        for axis in axes[count:]:
            axis.remove()
        figure.suptitle(title)
        path = folder / "plots" / "diagnostics.png"
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=110)
    return path


def _lines(axis: Axes, table: pd.DataFrame) -> None:
    known = [name for name in LABELS if name in set(table["quantity"])]
    for number, name in enumerate(known):
        rows = table[table["quantity"] == name].sort_values("step")
        axis.plot(
            rows["step"], rows["value"], label=LABELS[name], color=COLOURS[number],
            marker=MARKERS[number], markevery=max(1, len(rows) // 12),
            **(UNDERNEATH if not number else {"ms": 5}),
        )  # fmt: skip
    axis.legend(loc="best", fontsize="small")


def _skills(axis: Axes, table: pd.DataFrame) -> None:
    reference = sorted(table["reference"].unique())[-1]  # the lagged one where there is one
    table = table[table["reference"] == reference].sort_values("step")
    fixed = table[(table["quantity"] == "forecast_skill") & (table["lam"] == FIXED_LAM)]
    best = table[table["quantity"] == "best_lam_skill"]
    for number, horizon in enumerate(sorted(table["horizon"].unique())):
        for part, dashes, label in ((best, "-", f"{horizon:g} steps ahead"), (fixed, "--", None)):
            rows = part[part["horizon"] == horizon]
            axis.plot(
                rows["step"], rows["value"].clip(lower=LOWEST_SKILL), dashes, label=label,
                color=COLOURS[number], marker=MARKERS[number % 6],
                markevery=max(1, len(rows) // 12), ms=5 if label else 3,
            )  # fmt: skip
    axis.axhline(0, color="0.3", lw=1)
    axis.set(xlabel="step of the forecast", ylabel="skill (1: perfect, 0: as none)",
             ylim=(LOWEST_SKILL - 0.05, 1.05))  # fmt: skip
    start = "π₀" if reference == "initial" else f"π {reference.split(':')[1]} steps before"
    axis.set_title(f"forecast from {start}: λ*, dashed λ = 1", fontsize="medium")
    axis.legend(loc="best", fontsize="small")


# Title, y label, quantity, limits of y where they are known.
COMPARED_PANELS = [
    ("chosen", "mean log-prob of probe tokens", "mean_log_prob/chosen", None),
    ("shared tokens, in chosen", "mean log-prob", "mean_log_prob/shared_in_chosen", None),
    ("rejected", "mean log-prob of probe tokens", "mean_log_prob/rejected", None),
    ("gradients of a pair", "mean cosine", "cosine", None),
    ("chosen up and rejected down", "share of pairs", "regime/ideal", (-0.03, 1.03)),
    ("weight of rejected over chosen", "median ratio", "coefficient_ratio/used", None),
]

MOST_IN_ONE = 6  # runs that can be told apart


def plot_diagnoses(folders: dict[str, Path], target: Path) -> Path | None:
    """Draw runs' `diagnostics.csv`, a line each; None where fewer than two can be compared.

    folders: by name; the runs beyond MOST_IN_ONE are left out.
    """
    tables = {
        name: pd.read_csv(path / "diagnostics.csv").sort_values("step")
        for name, path in folders.items()
        if (path / "diagnostics.csv").exists()
    }
    present = {quantity for table in tables.values() for quantity in table["quantity"]}
    panels = [panel for panel in COMPARED_PANELS if panel[2] in present]
    if len(tables) < 2 or not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = Figure(figsize=(4.6 * columns, 3.7 * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
        for axis, (title, label, quantity, limits) in zip(axes, panels, strict=False):
            for number, (name, table) in enumerate(list(tables.items())[:MOST_IN_ONE]):
                own = table[table["quantity"] == quantity]
                axis.plot(
                    own["step"], own["value"], label=name, color=COLOURS[number],
                    marker=MARKERS[number], markevery=max(1, len(own) // 8), ms=5,
                )  # fmt: skip
            axis.set(ylabel=label, ylim=limits)
            axis.set_title(title, fontsize="medium")
        for axis in axes[: len(panels)][-columns:]:
            axis.set_xlabel("step")
            axis.tick_params(labelbottom=True)
        for axis in axes[len(panels) :]:
            axis.remove()
        axes[0].legend(loc="best", fontsize="small")
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=110)
    return target
