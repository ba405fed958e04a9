"""What is measured at the probe pairs at one moment of training."""

from typing import NamedTuple

from torch import Tensor

from diagnostics.entanglement.coefficients import (
    PairCoefficients,
    coefficients_now_and_ahead,
    pair_coefficients,
)
from diagnostics.entanglement.gram import pair_grams
from diagnostics.entanglement.products import REGIMES, Products, products, regime, split
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import Trajectories
from objectives import Batch
from objectives.batch import log_prob_mean
from train.learning.learner import Learner


class ProbeInputs(NamedTuple):
    """The probe pairs as gradient diagnostics want them."""

    trajectories: Trajectories  # 2P rows, chosen and rejected in turn
    weights: Tensor  # (2P, 2, T) shared and distinct tokens


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
            values[f"mean_log_prob/{name}"] = log_prob_mean(log_probs, tokens)[rows].mean().item()
    for name in ("chosen", "rejected"):
        log_probs, tokens = parts[name]
        low = log_probs[tokens].float().exp().quantile(0.1)
        values[f"token_probability_quantile_10/{name}"] = low.item()
    return values


def entanglement(
    learner: Learner, gradients: ProbeInputs, policy: Tensor, batch: Batch
) -> dict[str, float]:
    """Return how gradients of pairs are entangled, and how the objective weighs them, by quantity.

    learner: with a reference and λ; policy: (2P, T) and batch: as its `evaluate` returns them.
    Coefficients are those of the objective (of its base, for a future-policy one) `now`, at θ, and
    `ahead`, at the future policy, and those `used`, by the objective itself. The parts of the
    cosine that shared and distinct tokens make add up to it.
    """
    model = learner.policy.model
    with learner.precision:
        grams = pair_grams(model, *gradients, select_parameters(model))
    of, parts = products(grams), split(grams)
    norms = (of.square_chosen * of.square_rejected).sqrt()
    sums = {
        "shared_shared": parts.shared_shared,
        "distinct_distinct": parts.distinct_distinct,
        "mixed": parts.shared_distinct + parts.distinct_shared,
    }
    objective, hyper = learner.objective, learner.hyper
    now, ahead = coefficients_now_and_ahead(objective.loss, policy, batch, **hyper)
    used = pair_coefficients(objective.loss, policy, batch, **hyper)
    low, high = of.window
    values = {
        "cosine": of.cosine.mean().item(),
        **{f"cosine_part/{name}": (part / norms).mean().item() for name, part in sums.items()},
        "window_low": low.median().item(),
        "window_high": high.median().item(),
    }
    for name, coefficients in (("now", now), ("ahead", ahead), ("used", used)):
        values[f"coefficient_ratio/{name}"] = coefficients.ratio.nanmedian().item()
        values[f"inside_window/{name}"] = _inside(of, coefficients).float().mean().item()
    regimes = regime(of, used.chosen, used.rejected)
    for number, name in enumerate(REGIMES):
        values[f"regime/{name}"] = (regimes == number).float().mean().item()
    return values


def _inside(of: Products, coefficients: PairCoefficients) -> Tensor:
    low, high = of.window
    return (coefficients.ratio > low) & (coefficients.ratio < high)
