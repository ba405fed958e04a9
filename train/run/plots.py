"""Pictures of runs: accuracy and log-probs over steps, and objectives side by side."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diagnostics.log_probs import CHOSEN, MEAN_LOGPS, REJECTED
from diagnostics.panels import save
from train.probes.held_out import ACCURACIES, LOSS
from train.probes.held_out import PREFIX as HELD_OUT
from train.store.folder import read_metrics

SMOOTHING = 10  # steps of the running mean of the log-probs, which are a batch's each
COLOURS = sns.color_palette("colorblind")
MOST_IN_ONE = 6  # lines that can be told apart
COLUMNS = 6  # panels beside one another, where each line has its own
GREEDY = "eval/greedy_accuracy"
SHARES = {GREEDY: "greedy accuracy", ACCURACIES: "held-out pairs the right way"}


def plot_run(folder: Path, title: str) -> Path | None:
    """Draw a run's accuracy (with intervals) and mean log-probs; return the PNG.

    None where there is nothing to draw, as of no steps without an evaluation.
    """
    metrics = pd.DataFrame(read_metrics(folder))
    if not {GREEDY, LOSS, "loss"} & set(metrics):
        return None
    held, trained = LOSS in metrics, "loss" in metrics
    panels = trained + (GREEDY in metrics) + 2 * held
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        rows = 2 if panels > 3 else 1
        columns = panels // rows
        figure = Figure(figsize=(5.6 * columns, 4.2 * rows))
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        if GREEDY in metrics:
            _accuracy(axes[0], metrics)
        if trained:
            _log_probs(axes[int(GREEDY in metrics)], metrics)
        if held:
            _held_out(axes[-2:], metrics)
        figure.suptitle(title)
        return _save(figure, folder / "plots" / "training.png")


def plot_comparison(folders: dict[str, Path], target: Path) -> Path | None:
    """Draw greedy accuracy over steps of several runs, and of held-out pairs those the right way.

    None where no run has either. (Losses are not drawn: objectives' own scales differ.)
    """
    frames = [pd.DataFrame(read_metrics(path)).assign(objective=n) for n, path in folders.items()]
    metrics = pd.concat(frames)
    shares = [name for name in SHARES if name in metrics]
    if not shares:
        return None
    metrics = metrics.dropna(subset=shares, how="all")
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        draw = _in_one if len(folders) <= MOST_IN_ONE else _side_by_side
        return _save(draw(metrics, shares), target)


def _in_one(metrics: pd.DataFrame, shares: Sequence[str]) -> Figure:
    names = list(dict.fromkeys(metrics["objective"]))
    figure = Figure(figsize=(5.6 * len(shares) + 2.3, 4.2))
    axes = figure.subplots(1, len(shares), squeeze=False)[0]
    for axis, share in zip(axes, shares, strict=True):
        sns.lineplot(
            metrics.dropna(subset=share), x="step", y=share, hue="objective", style="objective",
            hue_order=names, style_order=names, markers=True, dashes=False,
            palette=COLOURS[: len(names)], legend="auto" if axis is axes[-1] else False, ax=axis,
        )  # fmt: skip
        axis.set(ylim=(0, 1), xlabel="step", ylabel=SHARES[share])
    sns.move_legend(axes[-1], "center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    sns.despine(figure)
    return figure


def _side_by_side(metrics: pd.DataFrame, shares: Sequence[str]) -> Figure:
    runs = list(metrics.groupby("objective", sort=False))
    rows = math.ceil(len(runs) / COLUMNS)
    figure = Figure(figsize=(2.25 * COLUMNS, 1.8 * rows))
    axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).flatten()
    for axis, (name, own) in zip(axes, runs, strict=False):
        for share, colour in zip(shares, COLOURS, strict=False):
            shown = own.dropna(subset=share)
            axis.plot(shown["step"], shown[share], marker="o", color=colour, label=SHARES[share])
        axis.set(title=name, ylim=(0, 1), xlabel="", ylabel="")
    for axis in axes[len(runs) :]:
        axis.remove()
    for axis in axes[max(0, len(runs) - COLUMNS) : len(runs)]:
        axis.set_xlabel("step", visible=True)
        axis.tick_params(labelbottom=True)
    for axis in axes[: len(runs) : COLUMNS]:
        axis.set_ylabel("share" if len(shares) > 1 else SHARES[shares[0]].partition(" ")[0])
    if len(shares) > 1:
        lines, labels = axes[0].get_legend_handles_labels()
        figure.suptitle(" ")  # room for the legend
        figure.legend(lines, labels, loc="upper center", ncols=2, frameon=False)
    sns.despine(figure)
    return figure


def _accuracy(axis: Axes, metrics: pd.DataFrame) -> None:
    styles = {"greedy": (COLOURS[0], "o", "greedy"), "sampled": (COLOURS[1], "s", "sampled")}
    for name, (colour, marker, label) in styles.items():
        column = f"eval/{name}_accuracy"
        if column not in metrics:
            continue
        rows = metrics.dropna(subset=column)
        axis.plot(rows["step"], rows[column], color=colour, marker=marker, label=label)
        axis.fill_between(
            rows["step"],
            rows[column + "_low"],
            rows[column + "_high"],
            color=colour,
            alpha=0.2,
            lw=0,
        )
    axis.set(xlabel="step", ylabel="accuracy", ylim=(0, 1))
    axis.set_title("test problems, with 95 % intervals", fontsize="medium")
    axis.legend(loc="best")


def _log_probs(axis: Axes, metrics: pd.DataFrame) -> None:
    styles = {CHOSEN: (COLOURS[2], "-"), REJECTED: (COLOURS[3], "--")}
    for side, (colour, dashes) in styles.items():
        column = f"{MEAN_LOGPS}/{side}"
        if column not in metrics:
            continue
        rows = metrics.dropna(subset=column)
        smooth = rows[column].rolling(SMOOTHING, min_periods=1).mean()
        axis.plot(rows["step"], smooth, color=colour, linestyle=dashes, label=side)
    axis.set(xlabel="step", ylabel="log-prob per token")
    axis.set_title(f"training trajectories, mean of {SMOOTHING} steps", fontsize="medium")
    if axis.lines:
        axis.legend(loc="best")


def _held_out(axes: Sequence[Axes], metrics: pd.DataFrame) -> None:
    """Draw the loss and the log-probs of held-out rows, with their intervals."""
    styles = {CHOSEN: (COLOURS[2], "-"), REJECTED: (COLOURS[3], "--")}
    of_sides = {f"{HELD_OUT}{MEAN_LOGPS}/{side}": (side, *style) for side, style in styles.items()}
    for axis, lines, what in (
        (axes[0], {LOSS: ("loss", COLOURS[0], "-")}, "loss"),
        (axes[1], of_sides, "log-prob per token"),
    ):
        for name, (label, colour, dashes) in lines.items():
            if name not in metrics:
                continue
            rows = metrics.dropna(subset=name)
            axis.plot(rows["step"], rows[name], color=colour, ls=dashes, marker="o", label=label)
            if f"{name}_low" in rows:
                axis.fill_between(
                    rows["step"], rows[f"{name}_low"], rows[f"{name}_high"],
                    color=colour, alpha=0.2, lw=0,
                )  # fmt: skip
        axis.set(xlabel="step", ylabel=what)
        axis.set_title("held-out rows, with 95 % intervals", fontsize="medium")
    if axes[1].lines:
        axes[1].legend(loc="best")


def _save(figure: Figure, path: Path) -> Path:
    figure.set_layout_engine("tight")  # when it is written, and not before
    save(figure, path, dpi=130)
    return path
