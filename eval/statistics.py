"""Statistics of graded completions, as pure functions."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np


def average_at_k(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """Return avg@k of each problem, problems x samples -> (problems,)."""
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected problems x samples, got shape {table.shape}")
    return table.mean(1)


def score_interval(scores: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of per-problem scores in [0, 1] and its interval over problems.

    Wilson's interval at an effective number of problems `n p (1 - p) / s²`, s² the population
    variance of the scores. For scores of 0 and 1 that number is n and this is Wilson's interval;
    for means of several samples, which spread less, it is larger.
    """
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"expected (problems,) scores, got shape {values.shape}")
    if values.min() < 0 or values.max() > 1:
        raise ValueError("scores must lie in [0, 1]")
    mean, variance = float(values.mean()), float(values.var())
    count = float(values.size)
    if variance > 0:
        count *= mean * (1 - mean) / variance
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(mean * (1 - mean) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return mean, max(0.0, centre - half), min(1.0, centre + half)
