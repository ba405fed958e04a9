"""Statistics over many runs or many comparisons."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return p-values adjusted for their number by Holm's method (Holm 1979).

    p_values: (tests,). Returns (tests,): those below α can be called differences with a chance of
    at most α that any of them is none. Raises ValueError for what is no p-value.
    """
    values = np.asarray(p_values, dtype=float)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"expected (tests,) p-values in [0, 1], got {p_values!r:.60}")
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def probability_of_improvement(
    a: Sequence[Sequence[float] | np.ndarray], b: Sequence[Sequence[float] | np.ndarray]
) -> float:
    """Return how probable it is that a run of a is better than one of b (arXiv 2108.13264).

    a, b: of each task, the same for both, the accuracies of runs, as many as there are. Of every
    pair of runs on a task one is better, equal runs count a half; the mean over tasks. Raises
    ValueError where tasks differ in number, one has no runs, or an accuracy is no number.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"{len(a)} and {len(b)} tasks: a and b must have the same")
    shares = []
    for own, other in zip(map(_accuracies, a), map(_accuracies, b), strict=True):
        ahead = own[:, None] - other
        shares.append(((ahead > 0) + (ahead == 0) / 2).mean())
    return float(np.mean(shares))


def interquartile_mean(accuracies: Sequence[float] | np.ndarray) -> float:
    """Return the mean of the middle half of runs' accuracies (arXiv 2108.13264).

    accuracies: of all runs on all tasks, (runs,). A quarter of them, rounded down, is left out at
    each end: with three runs or fewer it is the mean. Raises ValueError where one is no number.
    """
    ordered = np.sort(_accuracies(accuracies))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def _accuracies(values: Sequence[float] | np.ndarray) -> np.ndarray:
    accuracies = np.asarray(values, dtype=float)
    if accuracies.ndim != 1 or not len(accuracies) or not np.isfinite(accuracies).all():
        raise ValueError(f"expected accuracies of runs, got {values!r:.60}")
    return accuracies
