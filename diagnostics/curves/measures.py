"""What is measured at the probe pairs at one moment of training, by the name of each quantity."""

from collections.abc import Mapping

from torch import Tensor

from diagnostics.entanglement.coefficients import (
    PairCoefficients,
    coefficients_now_and_ahead,
    pair_coefficients,
)
from diagnostics.entanglement.pair_products import REGIMES, Products, products, regime, split
from objectives import Batch, Objective
from objectives.batch import log_prob_mean

# Quantities of `diagnostics.csv`; what comes after a "/" says of which tokens, or where.
LOG_PROB = "mean_log_prob"  # /chosen, /rejected, /shared_in_chosen, /distinct_in_chosen
QUANTILE = "token_probability_quantile_10"  # /chosen, /rejected
COSINE = "cosine"
COSINE_PART = "cosine_part"  # /shared_shared, /distinct_distinct, /mixed
WINDOW_LOW, WINDOW_HIGH = "window_low", "window_high"
RATIO = "coefficient_ratio"  # /now, /ahead, /used
INSIDE = "inside_window"  # /now, /ahead, /used
REGIME = "regime"  # / each of REGIMES
GAINED, FORGOTTEN = "problems/gained", "problems/forgotten"
AHEAD = "ahead"  # at the future policy


def token_log_prob_values(policy: Tensor, mask: Tensor, shared: Tensor) -> dict[str, float]:
    """Return mean log-probs and low quantiles of the tokens of pairs, by quantity.

    policy: (2P, T) log-probs, chosen and rejected in turn; mask, shared: (2P, T) bool.
    Means are over trajectories that have such tokens, of their mean over tokens.
    """
    chosen, rejected = slice(0, None, 2), slice(1, None, 2)
    parts = {
        "chosen": (policy[chosen], mask[chosen]),
        "rejected": (policy[rejected], mask[rejected]),
        "shared_in_chosen": (policy[chosen], shared[chosen]),
        "distinct_in_chosen": (policy[chosen], (mask & ~shared)[chosen]),
    }
    values = {}
    for name, (log_probs, tokens) in parts.items():
        rows = tokens.any(-1)
        if rows.any():
            values[f"{LOG_PROB}/{name}"] = log_prob_mean(log_probs, tokens)[rows].mean().item()
    for name in ("chosen", "rejected"):
        log_probs, tokens = parts[name]
        low = log_probs[tokens].float().exp().quantile(0.1)
        values[f"{QUANTILE}/{name}"] = low.item()
    return values


def entanglement_values(
    grams: Tensor, objective: Objective, hyper: Mapping, policy: Tensor, batch: Batch
) -> dict[str, float]:
    """Return how gradients of pairs are entangled, and how the objective weighs them, by quantity.

    grams: (P, 4, 4) of `pair_grams` with `split_weights`. hyper: the objective's hyper-parameters.
    policy: (2P, T) log-probs, and batch: with their pairs, reference and future log-probs.
    Coefficients are those of the objective (of its base, for a future-policy one) `now`, at θ, and
    `ahead`, at the future policy, and those `used`, by the objective itself. The parts of the
    cosine that shared and distinct tokens make add up to it.
    """
    of, parts = products(grams), split(grams)
    norms = (of.square_chosen * of.square_rejected).sqrt()
    sums = {
        "shared_shared": parts.shared_shared,
        "distinct_distinct": parts.distinct_distinct,
        "mixed": parts.shared_distinct + parts.distinct_shared,
    }
    now, ahead = coefficients_now_and_ahead(objective.loss, policy, batch, **hyper)
    used = pair_coefficients(objective.loss, policy, batch, **hyper)
    low, high = of.window
    values = {
        COSINE: of.cosine.mean().item(),
        **{f"{COSINE_PART}/{name}": (part / norms).mean().item() for name, part in sums.items()},
        WINDOW_LOW: low.median().item(),
        WINDOW_HIGH: high.median().item(),
    }
    for name, coefficients in (("now", now), (AHEAD, ahead), ("used", used)):
        values[f"{RATIO}/{name}"] = coefficients.ratio.nanmedian().item()
        values[f"{INSIDE}/{name}"] = _inside(of, coefficients).float().mean().item()
    regimes = regime(of, used.chosen, used.rejected)
    for number, name in enumerate(REGIMES):
        values[f"{REGIME}/{name}"] = (regimes == number).float().mean().item()
    return values


def _inside(of: Products, coefficients: PairCoefficients) -> Tensor:
    low, high = of.window
    return (coefficients.ratio > low) & (coefficients.ratio < high)
