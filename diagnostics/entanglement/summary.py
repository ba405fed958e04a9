"""A table of pairs in a few numbers, and those numbers in words."""

import pandas as pd

from diagnostics.entanglement.pair_products import REGIMES
from diagnostics.entanglement.table import UNDEFINED, times_apart

SHARES = ("shared", "shared_distinct", "distinct_shared", "distinct_distinct")
PARTS = ("prefix", "decision")


def contributions(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each kind of tokens adds to a pair's cosine: its share times the cosine.

    Unlike shares, these stay small where the inner product is near 0, and have a sign. Columns:
    `shared`, `shared_distinct`, `distinct_shared`, `distinct_distinct`, which add up to the cosine,
    and `prefix` and `decision`, with `elsewhere` for what is left of it.
    """
    parts = {name: table[f"share_{name}"] * table["cosine"] for name in (*SHARES, *PARTS)}
    frame = pd.DataFrame(parts).fillna(0.0)
    return frame.assign(elsewhere=table["cosine"] - frame["prefix"] - frame["decision"])


def regime_shares(regimes: pd.Series) -> dict[str, float]:
    """Return the share of pairs in each regime; `undefined` is there only where it occurs."""
    shares = regimes.value_counts(normalize=True)
    names = [*REGIMES, *([UNDEFINED] if UNDEFINED in shares else [])]
    return {name: float(shares.get(name, 0.0)) for name in names}


def summarise(table: pd.DataFrame, objectives: list[str]) -> dict:
    """Return medians, quantiles and shares of a table of pairs with the objectives' columns."""
    cosine = table["cosine"]
    return {
        "pairs": len(table),
        "cosine": {
            "median": float(cosine.median()),
            "quantile_10": float(cosine.quantile(0.1)),
            "quantile_90": float(cosine.quantile(0.9)),
        },
        "overlap_median": float(table["overlap"].median()),
        "prefix_median": float(table["prefix"].median()),
        "share_positive": float((table["inner_product"] > 0).mean()),
        "mean_contribution": {n: float(c.mean()) for n, c in contributions(table).items()},
        "regimes_at_equal_coefficients": regime_shares(table["regime"]),
        "objectives": {
            name: {
                time: {
                    "weight_median": _finite(table[f"weight_{name}_{time}"].median()),
                    "ratio_median": _finite(table[f"ratio_{name}_{time}"].median()),
                    "regimes": regime_shares(table[f"regime_{name}_{time}"]),
                }
                for time in times_apart(table, name)
            }
            for name in objectives
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if value == value and abs(value) != float("inf") else None
