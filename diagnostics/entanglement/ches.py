"""CHES: how much alike a pair's hidden states are, which foretells falling likelihoods."""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from objectives.batch import lengths


class Ches(NamedTuple):
    """Of N pairs, (N,) each: the higher, the more the two completions' embeddings are alike."""

    score: Tensor  # ⟨Σφ_w, Σφ_l⟩ - ‖Σφ_w‖²
    normalised: Tensor  # ⟨Σφ_w, Σφ_l⟩ / (n_w n_l) - ‖Σφ_w‖² / n_w²


def ches(hidden: Tensor, mask: Tensor) -> Ches:
    """Return the centred hidden embedding similarity of pairs (arXiv 2410.08847).

    Padding counts for nothing (in the code published with the paper it does).

    hidden: (B, T, d) final hidden states that predict the completion tokens, from the last prompt
    token to the completion's last but one; rows 2n the chosen and 2n + 1 the rejected of pair n.
    mask: (B, T) bool. Raises ValueError for shapes that do not fit or a row without tokens.
    """
    if hidden.dim() != 3 or mask.shape != hidden.shape[:2] or len(mask) % 2:
        raise ValueError(
            f"hidden and mask must be (B, T, d) and (B, T) with B even, "
            f"got {tuple(hidden.shape)} and {tuple(mask.shape)}"
        )
    if not mask.any(-1).all():
        raise ValueError("a completion has no tokens: CHES compares two sums of hidden states")
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    total = torch.where(mask[..., None], hidden, 0.0).sum(1)
    return Ches(_score(total), _score(total / lengths(mask)[:, None]))


def _score(total: Tensor) -> Tensor:
    chosen, rejected = rearrange(total, "(pair side) d -> side pair d", side=2)
    return (chosen * rejected).sum(-1) - chosen.square().sum(-1)
