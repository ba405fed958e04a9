"""Which hyper-parameters would have put a pair's coefficient ratio into its window.

The window of an entangled pair is `low < c_l/c_w < high` (arXiv 2410.13828), without entanglement
(0, inf). Each objective's ratio, in closed form, is solved for its hyper-parameter.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

REDI, RPO = "redi_alpha", "rpo_alpha"
FPA = "fpa_lam"


def redi_bounds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the open interval of redi's α for each pair, columns `redi_alpha_low` and `_high`.

    redi's loss is `-m_w + α m_l` (arXiv 2505.24850), so c_l/c_w = α n_w / n_l.
    table: with window_low, window_high, n_chosen and n_rejected.
    """
    scale = table["n_rejected"] / table["n_chosen"]
    return pd.DataFrame(
        {
            f"{REDI}_low": table["window_low"] * scale,
            f"{REDI}_high": table["window_high"] * scale,
        }
    )


def rpo_bounds(table: pd.DataFrame, preference: np.ndarray) -> pd.DataFrame:
    """Return the open interval of rpo's α for each pair, columns `rpo_alpha_low` and `_high`.

    rpo's loss is `dpo - α m_w` (arXiv 2404.19733), so c_l = k and c_w = k + α / n_w with dpo's
    weight k = β σ(-β(d_w - d_l)): the ratio is 1 at α = 0 and falls. Low is below 0 where α = 0
    does too, and both are nan where no α of 0 or more does (the ratio cannot be above 1).

    preference: (N,) k at the policy. table: as for `redi_bounds`.
    """
    low, high = table["window_low"].to_numpy(), table["window_high"].to_numpy()
    scale = table["n_chosen"].to_numpy() * preference
    with np.errstate(divide="ignore"):
        least = scale * (1 / high - 1)
        most = np.where(low > 0, scale * (1 / low - 1), np.inf)
    none = ~(most > 0) | ~(low < high)
    return pd.DataFrame(
        {
            f"{RPO}_low": np.where(none, np.nan, least),
            f"{RPO}_high": np.where(none, np.nan, most),
        }
    )


def inside(table: pd.DataFrame, ratio: np.ndarray) -> np.ndarray:
    """Return which pairs' windows hold a ratio c_l/c_w, (N,) bool; ratio: (N,)."""
    return (ratio > table["window_low"].to_numpy()) & (ratio < table["window_high"].to_numpy())


def share_within(bounds: pd.DataFrame, name: str, value: float) -> float:
    """Return the share of pairs whose interval of a hyper-parameter holds a value."""
    held = (bounds[f"{name}_low"] < value) & (value < bounds[f"{name}_high"])
    return float(held.mean())


def best_value(bounds: pd.DataFrame, name: str) -> tuple[float, float]:
    """Return the value that most pairs' open intervals hold, and their share.

    Of a stretch of values as good as each other its middle, from 0 on; where it has no end, twice
    its beginning. (0, 0) where no pair has an interval.
    """
    low = bounds[f"{name}_low"].clip(lower=0).to_numpy()
    high = bounds[f"{name}_high"].to_numpy()
    usable = (low < high) & ~np.isnan(low) & ~np.isnan(high)
    if not usable.any():
        return 0.0, 0.0
    edges = np.unique(np.concatenate([[0.0], low[usable], high[usable]]))
    edges = edges[np.isfinite(edges)]
    middles = (edges[:-1] + edges[1:]) / 2
    candidates = np.append(middles, 2 * edges[-1] if edges[-1] > 0 else 1.0)
    counts = ((low[usable] < candidates[:, None]) & (candidates[:, None] < high[usable])).sum(1)
    best = int(counts.argmax())
    return float(candidates[best]), float(counts[best] / len(bounds))


def lam_column(table: pd.DataFrame, ratios: Mapping[float, np.ndarray]) -> pd.DataFrame:
    """Return the smallest λ tried whose ratio each pair's window holds, column `fpa_lam`; or nan.

    ratios: (N,) c_l/c_w of `fpa` at the future policy, by λ.
    """
    result = np.full(len(table), np.nan)
    for lam in sorted(ratios, reverse=True):
        result[inside(table, ratios[lam])] = lam
    return pd.DataFrame({FPA: result})
