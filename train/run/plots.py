"""Pictures of runs: accuracy and log-probs over steps, and objectives side by side."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.store.folder import read_metrics

SMOOTHING = 10  # steps of the running mean of the log-probs, which are a batch's each
COLOURS = sns.color_palette("colorblind")
MOST_IN_ONE = 6  # lines that can be told apart


def plot_run(folder: Path, title: str) -> Path:
    """Draw a run's accuracy (with intervals) and mean log-probs; return the PNG."""
    metrics = pd.DataFrame(read_metrics(folder))
    evaluated = "eval/greedy_accuracy" in metrics
    figure, axes = _figure(1 + evaluated)
    if evaluated:
        _accuracy(axes[0], metrics)
    _log_probs(axes[-1], metrics)
    figure.suptitle(title)
    return _save(figure, folder / "plots" / "training.png")


def plot_comparison(folders: dict[str, Path], target: Path) -> Path | None:
    """Draw greedy accuracy over steps of several runs; None where none was evaluated."""
    frames = [pd.DataFrame(read_metrics(path)).assign(objective=n) for n, path in folders.items()]
    metrics = pd.concat(frames)
    if "eval/greedy_accuracy" not in metrics:
        return None
    metrics = metrics.dropna(subset="eval/greedy_accuracy")
    sns.set_theme(style="whitegrid", context="notebook")
    names = {"x": "step", "y": "eval/greedy_accuracy"}
    if len(folders) <= MOST_IN_ONE:
        grid = sns.relplot(
            metrics, **names, hue="objective", style="objective", markers=True, dashes=False,
            kind="line", palette=COLOURS[: len(folders)], height=4.2, aspect=1.5,
        )  # fmt: skip
    else:
        grid = sns.relplot(
            metrics, **names, col="objective", col_wrap=6, kind="line", marker="o",
            color=COLOURS[0], height=1.8, aspect=1.25,
        )  # fmt: skip
        grid.set_titles("{col_name}")
    grid.set(ylim=(0, 1))
    grid.set_axis_labels("step", "greedy accuracy" if len(folders) <= MOST_IN_ONE else "greedy")
    return _save(grid.figure, target)


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    sns.set_theme(style="whitegrid", context="notebook")
    figure, axes = plt.subplots(1, panels, figsize=(5.6 * panels, 4.2), squeeze=False)
    return figure, list(axes[0])


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
    styles = {"chosen": (COLOURS[2], "-"), "rejected": (COLOURS[3], "--")}
    for side, (colour, dashes) in styles.items():
        column = f"mean_logps/{side}"
        if column not in metrics:
            continue
        rows = metrics.dropna(subset=column)
        smooth = rows[column].rolling(SMOOTHING, min_periods=1).mean()
        axis.plot(rows["step"], smooth, color=colour, linestyle=dashes, label=side)
    axis.set(xlabel="step", ylabel="log-prob per token")
    axis.set_title(f"training trajectories, mean of {SMOOTHING} steps", fontsize="medium")
    if axis.lines:
        axis.legend(loc="best")


def _save(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
