"""How sure an accuracy or a difference is, over problems and over seeds.

A run's accuracy differs from another's for two reasons: its problems are a sample of all that might
be asked, and its seed is one of all that might have been drawn. A few seeds tell little of the
second, and Student's t says how little.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

ROUNDING = 1e-12  # sums of the same numbers in another order are not the same bits
SMALLEST_P = 1e-16


class Difference(NamedTuple):
    """How far one is ahead of another on the same problems."""

    mean: float
    low: float
    high: float
    p_value: float  # two-sided; nan where a side has one seed


def score_interval(
    scores: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean of scores and its interval over problems, and over seeds where there are.

    scores: (problems,) or (seeds, problems). Wilson's interval at the number of problems that
    would leave as much doubt as problems and seeds do (`_Doubt`), which is Korn and Graubard's
    effective sample size (1998). For one seed of scores of 0 and 1 that number is that of the
    problems and this is Wilson's interval; for means of several samples, which spread less, it is
    larger. One seed tells nothing of others. Raises ValueError for scores outside [0, 1].
    """
    table = _seeds(scores)
    mean, chance = float(table.mean()), 1 - confidence
    half = _doubt([table], math.inf).half_width(chance)
    if half > 0:
        doubt = half**2 / (mean * (1 - mean))
    else:  # all scores are the same: as many problems as there are
        doubt = float(ndtri(chance / 2)) ** 2 / table.shape[1]
    return wilson(mean, doubt)


def wilson(mean: float, doubt: float) -> tuple[float, float, float]:
    """Return a share with Wilson's interval.

    doubt: the square of the critical value over the number of independent answers.
    """
    centre = (mean + doubt / 2) / (1 + doubt)
    spread = math.sqrt(doubt * mean * (1 - mean) + doubt**2 / 4) / (1 + doubt)
    return mean, max(0.0, centre - spread), min(1.0, centre + spread)


def paired_difference(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> Difference:
    """Return the mean of a - b on the same problems, its interval and p-value.

    a, b: (problems,), or (seeds, problems) with a number of seeds of their own. The interval is
    over problems and seeds (`_Doubt`), and p, two-sided, is the level at which it would reach 0;
    at least SMALLEST_P. Where a side has one seed, the interval is over problems alone, it holds
    for these runs, and there is no p-value, as one run cannot tell how much runs differ.
    That two runs of one seed saw the same order of data is not made use of. Raises ValueError
    where a and b are not of the same problems, and for scores outside [0, 1].
    """
    a, b = _seeds(a), _seeds(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} problems: a and b must have the same")
    mean = float(a.mean() - b.mean())
    doubt = _doubt([a, b], max(1, a.shape[1] - 1))
    half = doubt.half_width(1 - confidence)
    p_value = math.nan if doubt.seeds_freedom == 0 else doubt.level(abs(mean))
    return Difference(mean, max(-1.0, mean - half), min(1.0, mean + half), p_value)


def problem_difference(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> Difference:
    """Return the mean of a - b of two models on the same problems, with the paired t-test.

    a, b: (problems,) scores, of several samples their mean. What is said is of these two models on
    problems such as these; whether training them again would give it too, one model of each cannot
    tell. p is two-sided and at least SMALLEST_P. Raises ValueError as `paired_difference` does.
    """
    mean, low, high, _ = paired_difference(_one_model(a), _one_model(b), confidence)
    return Difference(mean, low, high, _over_problems(a, b).level(abs(mean)))


def mean_difference(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], confidence: float = 0.95
) -> Difference:
    """Return the mean over benchmarks of `problem_difference`, each benchmark counting alike.

    pairs: of each benchmark the scores a and b, (problems,) each, with a number of problems of its
    own. The variance is the sum of theirs over the square of their number, with Satterthwaite's
    (1946) degrees of freedom. Raises ValueError as `problem_difference` does, and for no pair.
    """
    if not pairs:
        raise ValueError("expected a pair of scores for each benchmark, got none")
    means = [problem_difference(a, b).mean for a, b in pairs]
    doubts = [_over_problems(a, b) for a, b in pairs]
    parts = np.array([doubt.problems for doubt in doubts])
    degrees = np.array([doubt.problems_freedom for doubt in doubts])
    variance = float(parts.sum()) / len(pairs) ** 2
    freedom = float(parts.sum() ** 2 / (parts**2 / degrees).sum())
    doubt, mean = _Doubt(0.0, 0.0, variance, variance, freedom), float(np.mean(means))
    half = doubt.half_width(1 - confidence)
    return Difference(mean, max(-1.0, mean - half), min(1.0, mean + half), doubt.level(abs(mean)))


def _one_model(scores: np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"expected (problems,) scores, got {values.shape}")
    return values


class _Doubt(NamedTuple):
    """Variances of a mean, or of a difference of means, with their degrees of freedom.

    Half an interval has two parts, added in squares: t times the standard error over seeds (for
    two sides Welch's, 1947), and t times that over problems, of which the chance that is in the
    seeds' part already is taken away. It is no less than that over problems alone. Each part has
    its own t, since one variance by Satterthwaite's rule (1946) claims too much where two seeds
    happen to agree.
    """

    seeds: float
    seeds_freedom: float  # 0 where a side has one seed, which tells nothing of others
    problems: float
    problems_alone: float  # of `problems`, what is not chance in single runs
    problems_freedom: float

    def half_width(self, chance: float) -> float:
        """Return half the interval that misses with a chance."""
        t = _critical(self.problems_freedom, chance)
        alone = t * math.sqrt(self.problems)
        if self.seeds_freedom == 0:
            return alone
        over_seeds = _critical(self.seeds_freedom, chance) * math.sqrt(self.seeds)
        return max(alone, math.hypot(over_seeds, t * math.sqrt(self.problems_alone)))

    def level(self, distance: float) -> float:
        """Return the chance at which half the interval is a distance."""

        def beyond(log_chance: float) -> float:
            return self.half_width(math.exp(log_chance)) - distance

        least = math.log(SMALLEST_P)
        if distance <= ROUNDING:
            return 1.0
        if beyond(least) <= 0:
            return SMALLEST_P
        return math.exp(cast(float, brentq(beyond, least, 0, xtol=1e-9)))


def _over_problems(a: np.ndarray, b: np.ndarray) -> _Doubt:
    """Return the doubt of one model's mean less another's, (problems,) each."""
    return _doubt([_seeds(a), _seeds(b)], max(1, len(a) - 1))


def _doubt(sides: Sequence[np.ndarray], freedom: float) -> _Doubt:
    """Return the doubt of a mean (one side), or of the first side's mean less the second's.

    sides: (seeds, problems) each. freedom: of the variance over problems, inf for a normal's.
    """
    means = sides[0].mean(0) - (sides[1].mean(0) if len(sides) > 1 else 0)
    count = len(means)
    problems = float(means.var(ddof=min(len(sides), count) - 1)) / count
    if len(sides) > 1 and float(np.ptp(means)) <= ROUNDING:
        # The same on every problem: as if one more were wholly ahead, and one wholly behind.
        problems = 2 / ((count + 1) * (count + 2))
    if min(map(len, sides)) == 1:
        return _Doubt(0.0, 0.0, problems, problems, freedom)
    parts = np.array([side.mean(1).var(ddof=1) / len(side) for side in sides])
    total = float(parts.sum())
    degrees = np.array([len(side) - 1 for side in sides])
    if total > ROUNDING**2:
        freedom_seeds = total**2 / float((parts**2 / degrees).sum())
    else:
        freedom_seeds = float(degrees.sum())
    alone = max(0.0, problems - sum(map(_chance, sides)))
    return _Doubt(total, freedom_seeds, problems, alone, freedom)


def _chance(side: np.ndarray) -> float:
    """Return the variance of a side's mean by chance in each answer of each run."""
    seeds, problems = side.shape
    if problems == 1:
        return 0.0
    rest = side - side.mean(0) - side.mean(1, keepdims=True) + side.mean()
    return float((rest**2).sum()) / ((seeds - 1) * (problems - 1) * side.size)


def _critical(freedom: float, chance: float) -> float:
    """Return how many standard errors from the mean a two-sided interval ends."""
    return -float(ndtri(chance / 2) if math.isinf(freedom) else stdtrit(freedom, chance / 2))


def _seeds(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=float)
    table = values[None] if values.ndim == 1 else values
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected (problems,) or (seeds, problems) scores, got {values.shape}")
    outside = np.argwhere(~((table >= 0) & (table <= 1)))  # of nan, too
    if len(outside):
        seed, problem = outside[0]
        raise ValueError(
            f"scores must lie in [0, 1]: that of problem {problem} with seed {seed} is "
            f"{table[seed, problem]:g}"
        )
    return table
