"""Statistics of graded completions, as pure functions.

Scores are numbers in [0, 1], a problem each: right or wrong, or the mean of several samples.
"""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

MOST_AT_ONCE = 2**20  # values drawn at a time, of 8 bytes each
ROUNDING = 1e-12  # sums of the same numbers in another order are not the same bits


class Difference(NamedTuple):
    """How far one is ahead of another on the same problems."""

    mean: float
    low: float
    high: float
    p_value: float  # two-sided


def average_at_k(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """Return avg@k of each problem, problems x samples -> (problems,)."""
    return _table(scores).mean(1)


def pass_at_k(correct: Sequence[Sequence[bool]], k: int) -> np.ndarray:
    """Return the chance that k samples of a problem hold a correct one (arXiv 2107.03374).

    correct: problems x samples. Returns (problems,): `1 - C(n - c, k) / C(n, k)` with n samples of
    which c are correct, which is unbiased; as a product, so that no binomial overflows. Raises
    ValueError where k is not in [1, n] or a verdict is neither 0 nor 1.
    """
    table = _verdicts(correct, k)
    samples = table.shape[1]
    wrong = samples - table.sum(1, keepdims=True)
    place = np.arange(1, samples + 1)
    factors = np.where(place > wrong, np.maximum(1 - k / place, 0), 1)
    return 1 - factors.prod(1)


def majority_at_k(
    answers: Sequence[Sequence[str | None]], correct: Sequence[Sequence[bool]], k: int
) -> np.ndarray:
    """Return maj@k: is the most frequent answer of the first k samples correct (arXiv 2203.11171)?

    answers: problems x samples, None where there is no answer, which is no vote; answers of the
    same text are votes for one. correct: their verdicts. Returns (problems,): the mean verdict on
    the answer with most votes, averaged over the answers that tie, and 0 where nobody votes.
    Raises ValueError where the shapes differ, k is not in [1, n] or a verdict is neither 0 nor 1.
    """
    table = _verdicts(correct, k)
    if [len(row) for row in answers] != [table.shape[1]] * len(table):
        raise ValueError(f"answers are not of the shape of their verdicts, {table.shape}")
    return np.array([_majority(a[:k], c[:k]) for a, c in zip(answers, table, strict=True)])


def _majority(answers: Sequence[str | None], verdicts: np.ndarray) -> float:
    votes: Counter[str | None] = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    # Tied answers have as many votes each, so the mean over answers is the mean over their votes.
    return float(np.mean([v for a, v in zip(answers, verdicts, strict=True) if votes[a] == most]))


def score_interval(
    scores: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean of scores and its interval over problems, and over seeds where there are.

    scores: (problems,) or (seeds, problems). Wilson's interval at the number of problems that
    would leave as much doubt, `p (1 - p) / v`. v is the variance of the mean: that of the seeds'
    mean scores over problems, s²/n, and with several seeds that of their accuracies over seeds,
    too. For one seed of scores of 0 and 1 that number is n and this is Wilson's interval; for
    means of several samples, which spread less, it is larger. Chance in one run is in
    both, which makes intervals wide rather than narrow; but two or three seeds tell little of how
    much seeds differ, and where that is most of the doubt, 95 % intervals hold the truth in about
    80 % (two or three seeds) to 88 % (five) of simulations. One seed tells nothing of others.
    """
    table = _seeds(scores)
    if table.min() < 0 or table.max() > 1:
        raise ValueError("scores must lie in [0, 1]")
    seeds, problems = table.shape
    mean, variance = float(table.mean()), float(table.mean(0).var()) / problems
    if seeds > 1:
        variance += float(table.mean(1).var(ddof=1)) / seeds
    count = mean * (1 - mean) / variance if variance > 0 else float(problems)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(mean * (1 - mean) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return mean, max(0.0, centre - half), min(1.0, centre + half)


def paired_bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return the mean of a - b on the same problems, its interval and p-value, by resampling.

    a, b: (problems,), or (seeds, problems) with a number of seeds of their own. A resample adds
    what two independent draws with replacement give: of problems, the same for both sides, the
    mean of the seeds' mean difference; and of each side's seeds, how far their accuracies are from
    their mean. The interval is of percentiles; p, two-sided, is twice the share of resamples on
    the other side of 0, and at least 2 / (resamples + 1). Raises ValueError where a and b are not
    of the same problems.

    Seeds' deviations are widened by sqrt(s / (s - 1)), as the mean of s drawn of s would else
    spread too little. That two runs of one seed saw the same order of data is not made use of.
    What `score_interval` says of seeds holds here: chance in one run is counted twice, two or three
    seeds tell little of how much seeds differ, and a side with one seed tells nothing of others.
    """
    a, b = _seeds(a), _seeds(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} problems: a and b must have the same")
    rng, ahead = np.random.default_rng(seed), a.mean(0) - b.mean(0)
    drawn = _resampled_means(rng, ahead, resamples)
    for side in (a, b):
        if len(side) > 1:
            spread = (side.mean(1) - side.mean()) * math.sqrt(len(side) / (len(side) - 1))
            drawn += _resampled_means(rng, spread, resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    beyond = min((drawn <= ROUNDING).sum(), (drawn >= -ROUNDING).sum())
    p_value = min(1.0, 2 * float(beyond + 1) / (resamples + 1))
    return Difference(float(ahead.mean()), float(low), float(high), p_value)


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


def _resampled_means(rng: np.random.Generator, values: np.ndarray, resamples: int) -> np.ndarray:
    """Return the means of as many values drawn with replacement, (resamples,)."""
    rows = max(1, MOST_AT_ONCE // len(values))
    blocks = [min(rows, resamples - first) for first in range(0, resamples, rows)]
    draws = (rng.integers(len(values), size=(block, len(values))) for block in blocks)
    return np.concatenate([values[draw].mean(1) for draw in draws])


def _table(values: Sequence[Sequence[float]]) -> np.ndarray:
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected problems x samples, got shape {table.shape}")
    return table


def _verdicts(correct: Sequence[Sequence[bool]], k: int) -> np.ndarray:
    table = _table(correct)
    if not np.isin(table, (0, 1)).all():
        raise ValueError("verdicts must be 0 or 1")
    if not 1 <= k <= table.shape[1]:
        raise ValueError(f"k is {k}, but a problem has {table.shape[1]} samples")
    return table


def _seeds(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=float)
    table = values[None] if values.ndim == 1 else values
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected (problems,) or (seeds, problems) scores, got {values.shape}")
    return table
