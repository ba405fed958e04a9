"""The rows whose log-probs are told before and after training: the same ones both times."""

import torch

from diagnostics.log_probs import MEAN_LOGPS, ROWS, SIDES
from objectives import plus_minus_one
from train.data.offline import OptimizerBatch, mean_length
from train.data.tokenized import TokenizedData
from train.learning.gradients import Gradients
from train.models.language_model import uncompiled
from train.probes.pairs import SEED, shuffled, spread_pairs

COUNT = 64  # rows of each side, at most
PREFIX = "probe/"  # of what a line of metrics.jsonl says of them


def fixed_rows(data: TokenizedData) -> OptimizerBatch | None:
    """Choose up to COUNT correct and as many incorrect rows; None of data without rows.

    Those of pairs of as many different prompts as there are, or of all rows of data without pairs.
    Draws from a generator of its own, so that training draws what it would without.
    """
    pairs = spread_pairs(data, COUNT)
    index = pairs.index.unique()
    if not len(index):
        sides = [(side).nonzero().flatten() for side in (data.reward > 0, data.reward <= 0)]
        index = torch.cat([shuffled(rows, SEED)[:COUNT] for rows in sides]).sort().values
    if not len(index):
        return None
    reward, length = plus_minus_one(data.reward), mean_length(data, index)
    return OptimizerBatch(data, reward, index[:, None], len(index), length, {})


def look_at(rows: OptimizerBatch, gradients: Gradients) -> dict[str, float]:
    """Return, as a line of metrics has it, the seed and each side's number and mean log-prob."""
    with uncompiled():
        found = gradients.log_probs(rows)
    kept = {PREFIX + name: found[name] for side in SIDES
            for name in (f"{ROWS}/{side}", f"{MEAN_LOGPS}/{side}") if name in found}  # fmt: skip
    return {f"{PREFIX}seed": SEED, **kept}
