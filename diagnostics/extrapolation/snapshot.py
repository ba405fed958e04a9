"""A policy at fixed probe positions, kept small enough to remember it at many steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from objectives import Head

RULED_OUT = 1e4  # so far below all logits a token has no probability in float64
CHUNK_ELEMENTS = 2**21  # logits of a chunk by default: 16 MiB in float64, a few such at a time


@dataclass(frozen=True)
class Snapshot:
    """A policy at N positions: its logits, or the hidden states and the head that give them."""

    hidden: Tensor  # (N, d) final hidden states; (N, V) logits where there is no head
    head: Head | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(N, V): positions and vocabulary."""
        width = self.hidden.shape[1] if self.head is None else self.head.weight.shape[0]
        return self.hidden.shape[0], width

    @property
    def nbytes(self) -> int:
        """Bytes that the snapshot takes."""
        return sum(x.numel() * x.element_size() for x in self.tensors().values())

    def to(self, device: torch.device) -> "Snapshot":
        """Return the snapshot with its tensors on a device."""
        head = self.head
        if head is not None:
            bias = None if head.bias is None else head.bias.to(device)
            head = head._replace(weight=head.weight.to(device), bias=bias)
        return Snapshot(self.hidden.to(device), head)

    def tensors(self) -> dict[str, Tensor]:
        """Return what the snapshot is made of, by name."""
        head = {} if self.head is None else {"weight": self.head.weight, "bias": self.head.bias}
        return {"hidden": self.hidden, **{k: x for k, x in head.items() if x is not None}}

    def logits(self, rows: slice) -> Tensor:
        """Return some positions' logits, (n, V).

        In float64: two policies a few steps apart differ by a divergence below what float32 can
        tell from 0.
        """
        hidden = self.hidden[rows]
        if self.head is None:
            return hidden.double()
        with torch.autocast(hidden.device.type, enabled=False):
            return self.head.logits(hidden).double()


@torch.no_grad()
def take_snapshot(hidden: Tensor, head: Head) -> Snapshot:
    """Return a copy of a policy at the probes that later training steps leave alone.

    hidden: (N, d) final hidden states at the probe positions; head: with V rows.
    Keeps what is smaller: the logits, N V numbers, or hidden states and head, (N + V) d numbers.
    Raises ValueError where hidden states and head do not fit.
    """
    if hidden.dim() != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise ValueError(
            f"hidden must be (N, d) and head.weight (V, d), "
            f"got {tuple(hidden.shape)} and {tuple(head.weight.shape)}"
        )
    (positions, width), vocabulary = hidden.shape, head.weight.shape[0]
    if positions * vocabulary <= (positions + vocabulary) * width:
        with torch.autocast(hidden.device.type, enabled=False):
            return Snapshot(head.logits(hidden.detach()))
    bias = None if head.bias is None else head.bias.detach().clone()
    head = head._replace(weight=head.weight.detach().clone(), bias=bias)
    return Snapshot(hidden.detach().clone(), head)


Policy = Tensor | Snapshot  # at the probes; a tensor is (N, V) logits


def logit_chunks(
    policies: tuple[Policy, ...], weights: Tensor | None, chunk_size: int | None
) -> Iterator[tuple[Tensor, ...]]:
    """Go through the positions of several policies at once, so many at a time.

    weights: (N,) of the positions, >= 0, by default all equal; they need not sum to 1.
    Yields the weights (n,), which over all chunks sum to 1, and each policy's logits (n, V), all
    in float64. Raises ValueError where the policies differ in shape or the weights do not fit.
    """
    snapshots = [p if isinstance(p, Snapshot) else Snapshot(p) for p in policies]
    shapes = {snapshot.shape for snapshot in snapshots if snapshot.hidden.dim() == 2}
    if len(shapes) != 1 or any(snapshot.hidden.dim() != 2 for snapshot in snapshots):
        found = [tuple(snapshot.hidden.shape) for snapshot in snapshots]
        raise ValueError(f"policies must have the same (N, V) logits, got {found}")
    ((positions, vocabulary),) = shapes
    if not positions:
        raise ValueError("there are no probe positions")
    if weights is None:
        weights = torch.ones(positions, device=snapshots[0].hidden.device)
    if weights.shape != (positions,) or not (weights.sum() > 0 and (weights >= 0).all()):
        raise ValueError(
            f"weights must be ({positions},), none negative and not all 0, "
            f"got {tuple(weights.shape)}"
        )
    weights = weights.double() / weights.double().sum()
    size = chunk_size or max(1, CHUNK_ELEMENTS // vocabulary)
    for start in range(0, positions, size):
        rows = slice(start, start + size)
        logits = [snapshot.logits(rows) for snapshot in snapshots]
        yield weights[rows], *_without_infinities(logits)


def _without_infinities(logits: list[Tensor]) -> list[Tensor]:
    """Return logits (n, V) in which a token that one rules out, by -inf, has probability 0 in all.

    With one and the same number for it everywhere: the difference of two infinities is none.
    """
    least = torch.stack([x.amin() for x in logits]).min()
    if least > -math.inf:
        return logits
    ruled_out = torch.stack([x == -math.inf for x in logits]).any(0)
    finite = torch.stack([x.masked_fill(ruled_out, math.inf).amin() for x in logits]).min()
    return [x.masked_fill(ruled_out, finite.item() - RULED_OUT) for x in logits]
