"""Whether two ways of computing the same differ by rounding alone."""

import torch
from torch import Tensor

TOLERANCE, HALF_TOLERANCE = 1e-3, 0.1  # of the spread; what is wrong is off by about 1


def same_but_for_rounding(ours: Tensor, theirs: Tensor, dtype: torch.dtype) -> bool:
    """Say whether logits or hidden states differ by what a model of a dtype may round.

    ours, theirs: of one shape. dtype: of the model's weights.
    """
    return distance(ours, theirs) <= (HALF_TOLERANCE if dtype.itemsize < 4 else TOLERANCE)


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Return the root mean square of the difference, as a share of the spread on the last axis."""
    ours, theirs = ours.double(), theirs.double()
    spread = (theirs - theirs.mean(-1, keepdim=True)).square().mean().sqrt()
    return float((ours - theirs).square().mean().sqrt() / spread.clamp(min=1e-9))
