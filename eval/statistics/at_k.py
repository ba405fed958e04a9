"""What several samples of a problem come to: avg@k, pass@k, maj@k, as pure functions."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


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


def _table(values: Sequence[Sequence[float]]) -> np.ndarray:
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected problems x samples, got shape {table.shape}")
    if not np.isfinite(table).all():
        problem, sample = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(f"sample {sample} of problem {problem} is no number")
    return table


def _verdicts(correct: Sequence[Sequence[bool]], k: int) -> np.ndarray:
    table = _table(correct)
    if not np.isin(table, (0, 1)).all():
        raise ValueError("verdicts must be 0 or 1")
    if not 1 <= k <= table.shape[1]:
        raise ValueError(f"k is {k}, but a problem has {table.shape[1]} samples")
    return table
