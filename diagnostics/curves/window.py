"""A picture of runs side by side: entanglement, weights, the window they leave, and what it costs.

plot_window({"fpa": Path("runs/fpa"), "dpo": Path("runs/dpo")}, Path("window.png"))
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from diagnostics.curves.measures import COSINE, INSIDE, RATIO
from diagnostics.curves.plots import FILE, MOST_IN_ONE
from diagnostics.extrapolation.table_file import read_long_table
from diagnostics.panels import COLOURS, MARKERS, panel_grid, save, style
from objectives.json_files import read_objects

ACCURACY = "eval/greedy_accuracy"  # of metrics.jsonl
SHARE = (0, 1.05)  # limits of y
# Title, y label, quantity, limits of y.
PANELS = [
    ("1  how entangled pairs are", "mean cosine of g_w and g_l", COSINE, (-1, 1)),
    ("2  weight of rejected over chosen", "median of $c_l / c_w$", f"{RATIO}/used", (0, None)),
    ("3  weights inside the window", "share of pairs", f"{INSIDE}/used", SHARE),
    ("4  problems solved", "greedy accuracy", ACCURACY, SHARE),
]


def plot_window(folders: Mapping[str, Path], target: Path) -> Path:
    """Draw runs that watched entanglement, a line each, in four panels over steps.

    folders: of runs with `--diagnose-every`, by name; those beyond MOST_IN_ONE are left out.
    Raises FileNotFoundError where a run watched nothing, and InputError where a file is not what a
    run wrote.
    """
    tables = {name: _table(path) for name, path in list(folders.items())[:MOST_IN_ONE]}
    with style():
        figure, axes = panel_grid(len(PANELS), across=2, height=3.2, sharex=True)
        for axis, (title, label, quantity, limits) in zip(axes, PANELS, strict=True):
            for number, (name, table) in enumerate(tables.items()):
                rows = table[table["quantity"] == quantity]
                axis.plot(
                    rows["step"], rows["value"], label=name, color=COLOURS[number], ms=5,
                    marker=MARKERS[number], markevery=max(1, len(rows) // 8),
                )  # fmt: skip
            axis.set_title(title, fontsize="medium", loc="left")
            axis.set(ylabel=label, ylim=limits)
        for axis in axes[-2:]:
            axis.set_xlabel("step")
        axes[0].legend(loc="best", fontsize="small")
        save(figure, target, dpi=110)
    return target


def _table(folder: Path) -> pd.DataFrame:
    """Return what a run watched and its accuracy: step, quantity, value."""
    watched = read_long_table(folder / FILE)[["step", "quantity", "value"]]
    metrics = pd.DataFrame(read_objects(folder / "metrics.jsonl").values())
    if ACCURACY not in metrics:
        return watched
    scores = metrics[["step", ACCURACY]].dropna().rename(columns={ACCURACY: "value"})
    return pd.concat([watched, scores.assign(quantity=ACCURACY)]).sort_values("step", kind="stable")
