"""A model's output head, and what the kernel asks of it and of what else it is given."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from objectives.products import linear


class Head(NamedTuple):
    """A model's output head: `logits = softcap(scale * (hidden @ weight.T + bias))`."""

    weight: Tensor  # (V, d), may be tied to the embedding
    bias: Tensor | None = None  # (V,)
    scale: float = 1.0  # factor of the logits (Cohere, Granite, MiniCPM)
    softcap: float | None = None  # cap * tanh(logits / cap) (Gemma 2)
    half: bool = False  # the model computes in bfloat16: so does the kernel's backward pass
    total: Tensor | None = None  # (V, d) that a backward pass adds the weight's gradient to

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits, (N, d) -> (N, V), in float32 or float64."""
        logits = linear(hidden, self.weight, self.bias, self.half)
        logits = logits if self.scale == 1.0 else logits.mul_(self.scale)
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def kernel_dtype(hidden: Tensor) -> torch.dtype:
    """Return what logits of hidden states are computed in: float32, or float64 for float64."""
    return torch.promote_types(hidden.dtype, torch.float32)


def check_policy(hidden: Tensor, head: Head, targets: Tensor) -> None:
    """Raise ValueError unless hidden states, head and targets fit together."""
    if hidden.dim() != 2 or head.weight.dim() != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise ValueError(
            f"hidden must be (N, d) and head.weight (V, d), "
            f"got {tuple(hidden.shape)} and {tuple(head.weight.shape)}"
        )
    if targets.shape != hidden.shape[:1] or targets.dtype != torch.long:
        raise ValueError(
            f"targets must be ({len(hidden)},) long, got {tuple(targets.shape)} {targets.dtype}"
        )

    _check_form("head", head)


def _check_form(name: str, head: Head) -> None:
    for field, value in (("scale", head.scale), ("softcap", head.softcap)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name}'s {field} must be above 0 and finite, got {value}")


def check_targets(targets: Tensor, vocabulary: int) -> None:
    """Raise ValueError for an id beyond the vocabulary, where that can be seen without waiting."""
    if type(targets) is Tensor and targets.device.type == "cpu" and len(targets):
        ids = targets.numpy()
        for target in (ids.min(), ids.max()):
            if not 0 <= target < vocabulary:
                raise ValueError(
                    f"targets must be ids of a vocabulary of {vocabulary}, got {target}"
                )


def check_other(hidden: Tensor, head: Head, name: str, other: Tensor, other_head: Head) -> None:
    """Raise ValueError unless another model's hidden states and head fit the policy's."""
    if len(other) != len(hidden) or other.shape[1] != other_head.weight.shape[1]:
        raise ValueError(f"{name} hidden states do not fit: {tuple(other.shape)}")
    _check_form(f"{name} head", other_head)
    if other_head.weight.shape[0] != head.weight.shape[0]:
        raise ValueError(
            f"policy and {name} differ in vocabulary: "
            f"{head.weight.shape[0]} and {other_head.weight.shape[0]} tokens"
        )


def check_lam(lam: float | None, reference: object, origin: object) -> None:
    """Raise ValueError for a λ that cannot be, or that has nothing to extrapolate from."""
    if lam is None and origin is not None:
        raise ValueError("an origin is there to extrapolate from: give lam")
    if lam is not None and reference is None and origin is None:
        raise ValueError("lam extrapolates from a reference: give one")
    if lam is not None and not 0 <= lam < math.inf:
        raise ValueError(f"lam must be >= 0 and finite, got {lam}")
