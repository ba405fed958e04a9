"""Pictures of entanglement: of many pairs, and of one pair token by token."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from diagnostics.entanglement.summary import contributions, regime_shares
from diagnostics.entanglement.table import times_apart
from diagnostics.panels import COLOURS, style

REGIME_COLOURS = {
    "ideal": COLOURS[2], "both up": COLOURS[1], "both down": COLOURS[3], "still": "0.75",
    "reversed": COLOURS[4], "undefined": "0.9",
}  # fmt: skip
WHERE = {
    "prefix": "common\nprefix",
    "decision": "where they\npart",
    "elsewhere": "all the\nrest",
    "shared": "shared\n× shared",
    "mixed": "shared\n× distinct",
    "distinct_distinct": "distinct\n× distinct",
}


def draw_entanglement(table: pd.DataFrame, objectives: Sequence[str], title: str) -> Figure:
    """Return a figure of three panels from a table of pairs with the objectives' columns.

    Cosine against token overlap; what kinds of tokens add to the cosine; the share of pairs in
    each regime under each objective, now, at the future policy, and as used where that is neither.
    """
    with style():
        bars = 1 + sum(len(times_apart(table, name)) for name in objectives)
        figure = Figure(figsize=(17.5, max(4.8, 1.9 + 0.36 * bars)), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.35, 1.35))
        _cosines(left, table)
        _where(middle, contributions(table))
        _regimes(right, table, objectives)
        figure.suptitle(title)
    return figure


def _cosines(axis: Axes, table: pd.DataFrame) -> None:
    axis.axhline(0, color="0.3", lw=1)
    axis.scatter(table["overlap"], table["cosine"], color=COLOURS[0], alpha=0.6, s=28, lw=0)
    axis.set(xlabel="token overlap (longest common subsequence)", ylabel="cosine of the gradients")
    axis.set(xlim=(-0.03, 1.03), ylim=(-1.05, 1.05))
    axis.set_title("above 0: entangled", fontsize="medium")


def _where(axis: Axes, parts: pd.DataFrame) -> None:
    parts = parts.assign(mixed=parts["shared_distinct"] + parts["distinct_shared"])
    long = parts[list(WHERE)].rename(columns=WHERE).melt(var_name="tokens", value_name="part")
    groups = dict(zip(WHERE.values(), [COLOURS[0]] * 3 + [COLOURS[1]] * 3, strict=True))
    axis.axhline(0, color="0.3", lw=1)
    sns.boxplot(
        long, x="tokens", y="part", hue="tokens", palette=groups, ax=axis, width=0.6,
        whis=(10, 90), showfliers=False, legend=False,
    )  # fmt: skip
    axis.axvline(2.5, color="0.6", lw=1, ls=":")
    axis.tick_params(axis="x", labelsize="small")
    axis.set(xlabel="", ylabel="part of the cosine")
    axis.set_title("where it lives, two ways (whiskers: 80 % of pairs)", fontsize="medium")


def _regimes(axis: Axes, table: pd.DataFrame, objectives: Sequence[str]) -> None:
    columns = {"equal weights": "regime"}
    for name in objectives:
        times = times_apart(table, name)
        columns |= {f"{name}, {time}": f"regime_{name}_{time}" for time in times}
    shares = [regime_shares(table[column]) for column in columns.values()]
    places, start = np.arange(len(columns)), np.zeros(len(columns))
    for regime, colour in REGIME_COLOURS.items():
        width = np.array([share.get(regime, 0.0) for share in shares])
        if width.any() or regime in ("ideal", "both up", "both down"):
            axis.barh(places, width, left=start, color=colour, label=regime, height=0.75, lw=0)
            start = start + width
    axis.set_yticks(places, list(columns))
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set(xlim=(0, 1), xlabel="share of pairs")
    axis.set_title("what a small step does to a pair", fontsize="medium", pad=34)
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize="small",
        handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip


def draw_token_matrix(
    cosines: np.ndarray, chosen: Sequence[tuple[str, bool]], rejected: Sequence[tuple[str, bool]],
    title: str,
) -> Figure:  # fmt: skip
    """Return a heat map of cosines between the gradients of a pair's tokens.

    cosines: (n, m) of the chosen's tokens with the rejected's. chosen, rejected: of each token its
    text and whether both completions share it; shared ones are written in bold blue.
    Raises ValueError where the numbers of tokens differ.
    """
    if cosines.shape != (len(chosen), len(rejected)):
        raise ValueError(f"cosines must be ({len(chosen)}, {len(rejected)}), got {cosines.shape}")
    size = 0.23
    width, height = max(5.0, size * len(rejected)), max(4.0, size * len(chosen))
    with style("white"):
        figure = Figure(figsize=(width + 2.6, height + 1.8), layout="constrained")
        axis = figure.subplots()
        sns.heatmap(
            pd.DataFrame(cosines), ax=axis, cmap="vlag", center=0, vmin=-1, vmax=1, square=True,
            linewidths=0.3, linecolor="0.93", xticklabels=False, yticklabels=False,
            cbar_kws={"label": "cosine of the tokens' gradients", "shrink": 0.7},
        )  # fmt: skip
        _write(axis.xaxis, rejected, upright=False)
        _write(axis.yaxis, chosen, upright=True)
        axis.set(xlabel="rejected (bold blue: shared)", ylabel="chosen (bold blue: shared)")
        figure.suptitle(title, fontsize="medium")
    return figure


def _write(axis: Axis, tokens: Sequence[tuple[str, bool]], *, upright: bool) -> None:
    axis.set_ticks(np.arange(len(tokens)) + 0.5)
    axis.set_ticklabels([text for text, _ in tokens], fontsize=9)
    for label, (text, shared) in zip(axis.get_ticklabels(), tokens, strict=True):
        label.set_rotation(0 if upright or len(text) == 1 else 90)
        label.set_fontfamily("monospace")
        if shared:
            label.set_color(COLOURS[0])
            label.set_fontweight("bold")
