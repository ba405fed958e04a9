"""Parts of a pair's completions, so that one pass says which tokens the inner product lives in."""

import torch
from torch import Tensor

from diagnostics.entanglement.overlap import Overlap
from diagnostics.trajectories import Trajectories

# The common prefix; the token after it on either side, where they part; and what follows, shared
# (of the longest common subsequence) or distinct. Every token is in one part.
PARTS = ("prefix", "decision", "shared", "distinct")


def part_weights(trajectories: Trajectories, overlaps: list[Overlap]) -> Tensor:
    """Return weights (B, 4, T) that split each row's tokens into PARTS, for `pair_grams`.

    trajectories: B rows, chosen and rejected in turn; overlaps: of B / 2 pairs, chosen first.
    Raises ValueError where an overlap is not that of its rows.
    """
    sides = [(o.prefix, side) for o in overlaps for side in (o.shared_a, o.shared_b)]
    if [len(side) for _, side in sides] != trajectories.mask.sum(-1).tolist():
        raise ValueError("overlaps do not fit the trajectories: token counts differ")
    weights = torch.zeros(len(sides), len(PARTS), trajectories.mask.shape[1])
    for row, (prefix, shared) in enumerate(sides):
        count = len(shared)
        weights[row, 0, :prefix] = 1
        weights[row, 1, prefix : min(prefix + 1, count)] = 1
        weights[row, 2, prefix + 1 : count] = shared[prefix + 1 :].float()
        weights[row, 3, prefix + 1 : count] = (~shared[prefix + 1 :]).float()
    return weights.to(trajectories.mask.device)


def shared_parts(overlaps: list[Overlap]) -> Tensor:
    """Return which of the PARTS are shared, (N, 2, 4) bool, chosen and rejected.

    The token where the sides part belongs to the longest common subsequence in some pairs.
    """
    result = torch.tensor([True, False, True, False]).repeat(len(overlaps), 2, 1)
    for number, o in enumerate(overlaps):
        for side, shared in enumerate((o.shared_a, o.shared_b)):
            result[number, side, 1] = bool(shared[o.prefix : o.prefix + 1].any())
    return result
