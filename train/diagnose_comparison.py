"""Several runs' diagnostics in one picture: where each leaves the window, and what falls then."""

from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from train.diagnose_plot import COLOURS, MARKERS

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
