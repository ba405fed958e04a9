"""Means of values that come in clusters, such as the completions of one prompt."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from eval.statistics.intervals import wilson


class Mean(NamedTuple):
    """A mean and its interval; nan for bounds that one cluster cannot tell."""

    mean: float
    low: float
    high: float


def clustered_mean(sums: np.ndarray, counts: np.ndarray, confidence: float = 0.95) -> Mean:
    """Return the mean of all values, and its interval over clusters.

    sums, counts: (clusters,) of each cluster the sum of its values and their number, any numbers.
    The variance of a ratio of means over clusters (Cochran 1977, chapter 6), with Student's t of as
    many degrees of freedom as there are clusters with values, less one. Raises ValueError where
    there is no value.
    """
    sums, counts = np.asarray(sums, dtype=float), np.asarray(counts, dtype=float)
    if sums.shape != counts.shape or sums.ndim != 1:
        raise ValueError(f"expected (clusters,) both, got {sums.shape} and {counts.shape}")
    sums, counts = sums[counts > 0], counts[counts > 0]
    if not len(counts):
        raise ValueError("no values")
    mean, clusters = float(sums.sum() / counts.sum()), len(counts)
    if clusters == 1:
        return Mean(mean, float("nan"), float("nan"))
    deviations = sums - mean * counts
    variance = clusters / (clusters - 1) * float((deviations**2).sum()) / float(counts.sum()) ** 2
    half = -float(stdtrit(clusters - 1, (1 - confidence) / 2)) * variance**0.5
    return Mean(mean, mean - half, mean + half)


def clustered_share(sums: np.ndarray, counts: np.ndarray, confidence: float = 0.95) -> Mean:
    """Return `clustered_mean` of values in [0, 1], with an interval that stays there.

    Wilson's, at as many independent values as would leave the doubt that the clusters leave, and at
    most as many as there are clusters where all have one value.
    """
    mean, low, _ = clustered_mean(sums, counts, confidence)
    clusters = int((np.asarray(counts) > 0).sum())
    freedom = max(1, clusters - 1)
    critical = -float(stdtrit(freedom, (1 - confidence) / 2))
    least = critical**2 / clusters
    spread = mean * (1 - mean)
    if clusters == 1 or spread == 0 or low == mean:
        return Mean(*wilson(mean, least))
    return Mean(*wilson(mean, (mean - low) ** 2 / spread))
