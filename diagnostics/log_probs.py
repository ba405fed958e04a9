"""What happens to the log-probs of correct and incorrect trajectories while one trains."""

import torch
from torch import Tensor

from objectives import Batch
from objectives.batch import log_prob_mean, log_prob_sum, masked

# Metrics by TRL's names, each followed by a slash and a side.
LOGPS, MEAN_LOGPS, REWARDS = "logps", "mean_logps", "rewards"
CHOSEN, REJECTED = SIDES = ("chosen", "rejected")
MARGINS = f"{REWARDS}/margins"
ROWS = "rows"  # how many there are


def log_prob_totals(policy: Tensor, batch: Batch, beta: float | None = None) -> dict[str, Tensor]:
    """Return totals over rows from which a step's log-prob metrics are made.

    policy: (B, T) token log-probs; batch: with reward, and reference where rewards are wanted.
    beta: the implicit reward is `beta * d` (arXiv 2305.18290); None leaves it out.
    Returns scalars to be added up over micro-batches: for chosen (reward above 0) and rejected
    rows the count, the sum of `s`, of `m` and of the implicit reward.
    """
    values = {
        ROWS: torch.ones_like(batch.reward),
        LOGPS: log_prob_sum(policy, batch.mask),
        MEAN_LOGPS: log_prob_mean(policy, batch.mask),
    }
    if beta is not None and batch.reference is not None:
        values[REWARDS] = beta * log_prob_sum(policy - batch.reference, batch.mask)
    sides = {CHOSEN: batch.reward > 0, REJECTED: batch.reward <= 0}
    return {
        f"{name}/{side}": masked(value.detach(), rows).sum()
        for side, rows in sides.items()
        for name, value in values.items()
    }


def log_prob_metrics(totals: dict[str, float]) -> dict[str, float]:
    """Return the means over rows, under TRL's names, from added-up `log_prob_totals`.

    `logps/*` are sums over tokens and `mean_logps/*` means over tokens, averaged over rows;
    a side without rows is left out.
    """
    metrics = {}
    for key, total in totals.items():
        name, side = key.split("/")
        count = totals[f"{ROWS}/{side}"]
        if name != ROWS and count:
            metrics[key] = total / count
    chosen, rejected = (metrics.get(f"{REWARDS}/{side}") for side in SIDES)
    if chosen is not None and rejected is not None:
        metrics[MARGINS] = chosen - rejected
    return metrics
