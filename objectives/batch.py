"""The one batch that every objective reads, and the statistics of a row that they share."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

# None where it was not given. A type checker is told `Any`, so that an objective that declared its
# need of a field may use it without asking again.
MaybeTensor: TypeAlias = Tensor | Any


class Batch(NamedTuple):
    """A row per trajectory: B rows, T completion positions, P pairs. None where not needed.

    Token fields hold float32 log-probs of the sampled tokens, but for `future_divergence`; what
    they hold where `mask` is False is never used. An objective's gradient is with respect to the
    policy's log-probs and TRAINED_FIELDS; all other fields are constants to it.
    """

    mask: Tensor  # (B, T) bool: True on completion tokens
    reference: MaybeTensor = None  # (B, T) under the frozen reference policy
    future: MaybeTensor = None  # (B, T) under the extrapolated future policy
    anchor: MaybeTensor = None  # (B, T) under the policy of the current outer step
    previous_anchor: MaybeTensor = None  # (B, T) under the policy of the outer step before
    reward: MaybeTensor = None  # (B,) reward or advantage; its sign tells correct from incorrect
    group: MaybeTensor = None  # (B,) integer id of the prompt
    weight: MaybeTensor = None  # (B,) factor of the row's loss; a pair has its rows' product
    pairs: MaybeTensor = None  # (P, 2) integer rows: chosen, rejected
    divergence: MaybeTensor = None  # (B,) KTO's z0, one number for the optimizer batch, repeated
    mean_length: MaybeTensor = None  # (B,) tokens a row, mean over the optimizer batch, repeated
    collision: MaybeTensor = None  # (B, T) log Σ_v π_θ(v)², over the vocabulary
    future_collision: MaybeTensor = None  # (B, T) the same of the extrapolated future policy
    solve_rate: MaybeTensor = None  # (B,) share of correct among all of the prompt's
    future_divergence: MaybeTensor = None  # (B, T) of π_θ from the extrapolated future policy

    def map(self, function: Callable[[Tensor], Tensor], names: tuple[str, ...]) -> "Batch":
        """Return the batch with `function` applied to those of the named fields that are there."""
        present = {name: getattr(self, name) for name in names}
        return self._replace(**{n: function(x) for n, x in present.items() if x is not None})

    def rows(self, index: Tensor) -> "Batch":
        """Return the batch of the rows at `index` (any order, repeats allowed), without pairs."""
        every = ("mask", *TOKEN_FIELDS, *ROW_FIELDS)
        return self._replace(pairs=None).map(lambda x: x[index], every)


TOKEN_FIELDS = (
    "reference", "future", "anchor", "previous_anchor", "collision", "future_collision",
    "future_divergence",
)  # fmt: skip
ROW_FIELDS = ("reward", "group", "weight", "divergence", "mean_length", "solve_rate")
# What depends on what is trained other than by the tokens' log-probs, and carries its gradient.
TRAINED_FIELDS = ("future_divergence",)
CONSTANT_FIELDS = tuple(name for name in Batch._fields if name not in TRAINED_FIELDS)


def masked(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return (..., T) log-probs with 0 wherever the mask is False, whatever stood there."""
    return torch.where(mask, log_probs, 0.0)


def lengths(mask: Tensor) -> Tensor:
    """Return `n`, the completion tokens of each row, (..., T) -> (...), at least 1."""
    return mask.sum(-1).clamp(min=1)


def log_prob_sum(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return `s`, a row's sum of token log-probs, (..., T) -> (...)."""
    return masked(log_probs, mask).sum(-1)


def log_prob_mean(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return `m = s / n`, a row's mean token log-prob, (..., T) -> (...); 0 for an empty row."""
    return log_prob_sum(log_probs, mask) / lengths(mask)


def log_ratio_sum(log_probs: Tensor, batch: Batch) -> Tensor:
    """Return `d = s - s0`, a row's log-ratio to the reference, (B, T) -> (B,)."""
    return log_prob_sum(log_probs - batch.reference, batch.mask)
