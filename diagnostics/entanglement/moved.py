"""What training did to pairs: how far each side's log-probs moved, on which tokens."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from torch import Tensor

from diagnostics.entanglement.overlap import Overlap
from diagnostics.log_probs import CHOSEN, SIDES

QUANTILE = 0.1  # of the reference's token probabilities: below, a token is unlikely
KINDS = ("shared", "distinct", "first")  # tokens; first: the first that differ


class Mean(NamedTuple):
    """A mean over pairs with its interval; nan bounds where one pair has it."""

    value: float
    low: float
    high: float
    pairs: int


def moved_table(
    policy: Tensor, reference: Tensor, mask: Tensor, overlaps: Sequence[Overlap]
) -> pd.DataFrame:
    """Return how the log-probs of N pairs moved from the reference to the policy, a line a pair.

    policy, reference: (2N, T) token log-probs, chosen and rejected in turn; mask: (2N, T) bool;
    overlaps: of the N pairs. For each SIDE: `logp_reference_SIDE` and `logp_policy_SIDE`, sums over
    tokens in nats; `change_SIDE`, their difference; `change_SIDE_KIND`, what the tokens of a kind
    add to it (shared and distinct add up to the whole), `tokens_SIDE_KIND`, how many there are;
    `unlikely_SIDE` and `unlikely_reference_SIDE`, the share of tokens whose probability is below
    the reference's own QUANTILE over all tokens of that side. `first` is nan where a side ends
    before the two differ. Raises ValueError where the shapes do not fit.
    """
    if not policy.shape == reference.shape == mask.shape or len(mask) != 2 * len(overlaps):
        raise ValueError(
            f"log-probs {tuple(policy.shape)} and {tuple(reference.shape)}, mask "
            f"{tuple(mask.shape)}: expected the same, with two rows for each of "
            f"{len(overlaps)} pairs"
        )
    columns: dict[str, list[float]] = {}
    for offset, side in enumerate(SIDES):
        rows = range(offset, 2 * len(overlaps), 2)
        after, before = (
            [x[row][mask[row]].double().cpu().numpy() for row in rows] for x in (policy, reference)
        )
        least = float(np.quantile(np.concatenate(before), QUANTILE))
        shared = [(o.shared_a if side == CHOSEN else o.shared_b).numpy() for o in overlaps]
        for own, old, common, overlap in zip(after, before, shared, overlaps, strict=True):
            change = own - old
            first = np.arange(len(own)) == overlap.prefix
            line = {
                f"logp_reference_{side}": old.sum(),
                f"logp_policy_{side}": own.sum(),
                f"change_{side}": change.sum(),
                f"unlikely_reference_{side}": (old < least).mean(),
                f"unlikely_{side}": (own < least).mean(),
            }
            for kind, chosen in zip(KINDS, (common, ~common, first), strict=True):
                line[f"tokens_{side}_{kind}"] = int(chosen.sum())
                line[f"change_{side}_{kind}"] = (
                    change[chosen].sum() if kind != "first" or chosen.any() else math.nan
                )
            for name, value in line.items():
                columns.setdefault(name, []).append(value)
    return pd.DataFrame(columns)


def mean_over_pairs(values: pd.Series, prompts: Sequence[str]) -> Mean:
    """Return the mean of what pairs have, and Student's 95 % interval over their prompts.

    values: (N,), nan where a pair has none. prompts: (N,); pairs of one prompt are not independent
    and count as one draw (the sandwich estimate of clustered means, Liang and Zeger 1986).
    """
    known = values.notna().to_numpy()
    own = values.to_numpy(dtype=float)[known]
    if not len(own):
        return Mean(math.nan, math.nan, math.nan, 0)
    mean = own.mean()
    groups = np.unique(np.asarray(prompts)[known], return_inverse=True)[1]
    count = int(groups.max()) + 1
    if count < 2:
        return Mean(float(mean), math.nan, math.nan, len(own))
    totals = np.bincount(groups, weights=own - mean)
    error = math.sqrt(count / (count - 1) * (totals**2).sum()) / len(own)
    half = float(stdtrit(count - 1, 0.975)) * error
    return Mean(float(mean), float(mean - half), float(mean + half), len(own))
