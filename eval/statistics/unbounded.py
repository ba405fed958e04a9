"""How sure a mean is of scores without bounds, as rewards are: Student's t over problems."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from eval.statistics.intervals import ROUNDING, SMALLEST_P, Difference


def mean_interval(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean of scores and its interval over problems.

    values: (problems,) finite numbers of any size. The interval is nan where there is none: one
    problem, or scores that are all alike, tell nothing of how much others differ. Raises ValueError
    for another shape and for what is not finite.
    """
    mean, error, freedom = _mean_error(values)
    half = -float(stdtrit(freedom, (1 - confidence) / 2)) * error if error else math.nan
    return mean, mean - half, mean + half


def mean_paired_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Difference:
    """Return the mean of a - b on the same problems, with the paired t-test.

    a, b: (problems,) as `mean_interval` has them. p is two-sided, at least SMALLEST_P, and nan,
    like the interval, where all differences are alike. Raises ValueError as `mean_interval` does,
    and where a and b are not of the same problems.
    """
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if one.shape != other.shape:
        raise ValueError(f"scores of {one.shape} and {other.shape}: a and b must have the same")
    mean, low, high = mean_interval(one - other, confidence)
    _, error, freedom = _mean_error(one - other)
    p_value = max(SMALLEST_P, 2 * float(stdtr(freedom, -abs(mean) / error))) if error else math.nan
    return Difference(mean, low, high, p_value)


def _mean_error(values: Sequence[float] | np.ndarray) -> tuple[float, float, int]:
    """Return the mean, its standard error (0 where it is not known) and the degrees of freedom."""
    table = np.asarray(values, dtype=float)
    if table.ndim != 1 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"expected (problems,) finite scores, got {table.shape}: {table!r:.80}")
    count, mean = len(table), float(table.mean())
    if float(np.ptp(table)) <= ROUNDING * max(1.0, abs(mean)):
        return mean, 0.0, count - 1
    return mean, float(table.std(ddof=1)) / math.sqrt(count), count - 1
