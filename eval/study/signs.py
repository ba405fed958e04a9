"""What is seen early in a run, and how much of its accuracy the run loses later."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from eval.compare.words import interval_text
from eval.study.curves import Curve
from eval.study.records import Record
from eval.study.tables import EARLY, MODE

SIGNS = {
    "mean cosine of a pair's gradients": "cosine",
    "weight of rejected over chosen": "coefficient_ratio/used",
    "pairs of which the chosen side falls too": "regime/both down",
    "pairs in the ideal regime": "regime/ideal",
}
DRAWS, SEED = 2000, 0  # of the bootstrap


def signs_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return how early signs and what is lost later go together, over all runs of all curves.

    Spearman's rank correlation of each sign, its mean up to step EARLY, with the accuracy that is
    lost between a run's best look and its last. Intervals: 95 % of a bootstrap over the curves,
    whose seeds are no independent witnesses.
    """
    groups = [[_row(record) for record in curve.records] for curve in curves]
    rows = []
    for sign in SIGNS:
        values = [[(row[sign], row["lost"]) for row in own] for own in groups]
        found = rank_correlation(values)
        cells = dict(zip(("mean", "mean_low", "mean_high"), found, strict=True))
        shown = interval_text(cells, "mean", signed=True) or "the same in all runs"
        rows.append({f"up to step {EARLY}": sign, "rank correlation with what is lost": shown})
    return pd.DataFrame(rows)


def rank_correlation(groups: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float, float]:
    """Return Spearman's correlation of pairs of numbers, with its bootstrap interval over groups.

    nan where one side is the same everywhere.
    """
    tables = [np.asarray(group, dtype=float) for group in groups]
    random = np.random.default_rng(SEED)
    drawn = [
        _spearman(np.concatenate([tables[place] for place in places]))
        for places in random.integers(len(tables), size=(DRAWS, len(tables)))
    ]
    found = _spearman(np.concatenate(tables))
    if np.isnan(found):
        return found, found, found
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return found, float(low), float(high)


def _spearman(pairs: np.ndarray) -> float:
    one, other = rankdata(pairs[:, 0]), rankdata(pairs[:, 1])
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _row(record: Record) -> dict[str, float]:
    accuracy = record.run.scores[MODE].mean(axis=1)
    watched = record.watched.loc[:EARLY].mean()
    row = {sign: float(watched[column]) for sign, column in SIGNS.items()}
    return row | {"lost": float(accuracy.max() - accuracy.iloc[-1])}
