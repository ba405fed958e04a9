"""What pictures of diagnostics have in common: colours, markers, style, and a grid of panels."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from objectives.figures import literal
from objectives.whole_files import write_whole

COLOURS = sns.color_palette("colorblind")
MARKERS = "osD^vP"
WIDTH = 4.6  # inches of a panel


@contextmanager
def style(axes: Literal["white", "whitegrid"] = "whitegrid") -> Iterator[None]:
    """Draw in one style what is drawn inside; matplotlib's own settings stay as they are."""
    with sns.axes_style(axes), sns.plotting_context("notebook"):
        yield


def panel_grid(
    count: int, *, across: int, height: float, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, at most `across` beside each other, and the panels.

    height: inches of a panel. To be drawn inside `style`.
    """
    columns = min(across, count)
    rows = math.ceil(count / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(WIDTH * columns, height * rows), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex).flatten()
    for axis in axes[count:]:
        axis.remove()
    return figure, list(axes[:count])


def save(figure: Figure, target: Path, dpi: int) -> None:
    """Write a figure as a PNG, its text as it is, whole or not at all.

    Raises InputError naming the file where it cannot be written.
    """
    literal(figure)
    write_whole(target, partial(figure.savefig, format="png", dpi=dpi))
