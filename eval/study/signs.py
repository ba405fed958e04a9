"""What is seen early in a run, and how much of its accuracy the run loses later."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from eval.compare.words import share
from eval.study.curves import Curve
from eval.study.records import Record
from eval.study.tables import EARLY, MODE, with_interval

SIGNS = {
    "mean cosine of a pair's gradients": "cosine",
    "weight of rejected over chosen": "coefficient_ratio/used",
    "pairs of which the chosen side falls too": "regime/both down",
    "pairs in the ideal regime": "regime/ideal",
}
WHOLE = "highest mean cosine of the run"
ALARM, FALL = 0.05, 0.05  # a mean cosine above the one, an accuracy lost beyond the other
DRAWS, SEED = 2000, 0  # of the bootstrap


def signs_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return how early signs and what is lost later go together, over all runs of all curves.

    Spearman's rank correlation of each sign, its mean up to step EARLY, and of the highest cosine
    at any step, with the accuracy that is lost between a run's best look and its last. Intervals:
    95 % of a bootstrap over the curves, whose seeds are no independent witnesses.
    """
    groups = [[_row(record) for record in curve.records] for curve in curves]
    rows = []
    for sign in [*SIGNS, WHOLE]:
        values = [[(row[sign], row["lost"]) for row in own] for own in groups]
        shown = with_interval(rank_correlation(values), signed=True) or "the same in all runs"
        when = sign if sign == WHOLE else f"{sign}, up to step {EARLY}"
        rows.append({"": when, "rank correlation with what is lost": shown})
    return pd.DataFrame(rows)


def falls_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Return when pairs entangled and when accuracy fell, for each line, a step for each seed.

    Pairs are entangled from the first look on at which their mean cosine is above ALARM; accuracy
    has fallen from the first look on after which it stays FALL below the run's best.
    """
    rows = []
    for curve in curves:
        found = [_steps(record) for record in curve.records]
        highest, entangled, fallen = zip(*found, strict=True)
        rows.append({
            "": curve.name,
            "highest mean cosine": ", ".join(map(share, highest)),
            f"entangled (above {share(ALARM)[:3]}) at": ", ".join(map(_shown, entangled)),
            f"fallen (by {share(FALL)[:3]}) at": ", ".join(map(_shown, fallen)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _steps(record: Record) -> tuple[float, int | None, int | None]:
    cosine = record.watched["cosine"]
    accuracy = record.run.scores[MODE].mean(axis=1)
    above = [int(step) for step in cosine.index[(cosine > ALARM).to_numpy()]]
    standing = accuracy.index[(accuracy > accuracy.max() - FALL).to_numpy()]
    after = [int(step) for step in accuracy.index if step > standing[-1]]
    return float(cosine.max()), next(iter(above), None), next(iter(after), None)


def _shown(step: int | None) -> str:
    return "never" if step is None else f"{step}"


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
    row[WHOLE] = float(record.watched["cosine"].max())
    return row | {"lost": float(accuracy.max() - accuracy.iloc[-1])}
