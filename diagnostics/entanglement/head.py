"""The output head's share of entanglement, in closed form: no gradient is ever made or stored."""

import torch
from einops import rearrange
from torch import Tensor

from objectives import Head
from objectives.kernel import CHUNK_ELEMENTS


@torch.no_grad()
def head_gram(
    hidden: Tensor, head: Head, targets: Tensor, *, vocabulary_at_once: int | None = None
) -> Tensor:
    """Return `⟨∇_W log p(y_i), ∇_W log p(y_j)⟩` over the head's weight W alone, (N, N).

    `⟨e_{y_i} - p_i, e_{y_j} - p_j⟩ ⟨φ_i, φ_j⟩` (arXiv 2410.08847), the left factor through the
    head's scale and softcap where it has them. Where W is tied to the embedding, this is the
    gradient through the head alone.

    hidden: (N, d), φ, the final hidden states that predict the targets. targets: (N,) ids.
    vocabulary_at_once: rows of W at a time, by default as many as keep a block at 64 MiB.
    Raises ValueError for shapes that do not fit.
    """
    _check(hidden, head, targets)
    with torch.autocast(hidden.device.type, enabled=False):
        return _head_gram(hidden, head, targets, vocabulary_at_once)


def _head_gram(hidden, head, targets, vocabulary_at_once) -> Tensor:
    count, vocabulary = len(targets), len(head.weight)
    size = vocabulary_at_once or max(1, CHUNK_ELEMENTS // max(1, count))
    blocks = [slice(start, start + size) for start in range(0, vocabulary, size)]
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    normaliser = torch.stack([_logits(hidden, head, b).logsumexp(-1) for b in blocks])
    normaliser = normaliser.logsumexp(0)[:, None]
    inner = hidden.new_zeros(count, count)
    for block in blocks:
        logits = _logits(hidden, head, block)
        error = -(logits - normaliser).exp()  # becomes e_y - p, in these columns
        here = (targets >= block.start) & (targets < block.stop)
        error[here, targets[here] - block.start] += 1
        if head.softcap is not None:
            error *= 1 - (logits / head.softcap).square()
        inner.addmm_(error, error.T)
    return head.scale**2 * inner * (hidden @ hidden.T)


def head_pair_grams(hidden: Tensor, head: Head, targets: Tensor, weights: Tensor) -> Tensor:
    """Return what `pair_grams` does, over the head's weight alone, (N, 2P, 2P), N = B / 2 pairs.

    hidden: (B, T, d) final hidden states that predict the targets, rows 2n the chosen and 2n + 1
    the rejected of pair n. targets: (B, T); weights: (B, P, T), 0 in padding.
    Raises ValueError for shapes that do not fit.
    """
    rows, parts, width = weights.shape
    if hidden.shape[:2] != (rows, width) or targets.shape != (rows, width) or rows % 2:
        raise ValueError(
            f"hidden {tuple(hidden.shape)}, targets {tuple(targets.shape)} and weights "
            f"{tuple(weights.shape)} must be (B, T, d), (B, T) and (B, P, T) with B even"
        )
    grams = []
    for pair in range(0, rows, 2):
        both = slice(pair, pair + 2)
        used = (weights[both] != 0).any(1)  # (2, T): padding costs nothing
        gram = head_gram(hidden[both][used], head, targets[both][used])
        sides = weights.new_zeros(2, parts, 2, width)
        sides[[0, 1], :, [0, 1]] = weights[both]
        combine = rearrange(sides[:, :, used], "side part token -> (side part) token").to(gram)
        grams.append(combine @ gram @ combine.T)
    return torch.stack(grams) if grams else weights.new_zeros(0, 2 * parts, 2 * parts)


def _logits(hidden: Tensor, head: Head, block: slice) -> Tensor:
    bias = None if head.bias is None else head.bias[block]
    return head._replace(weight=head.weight[block], bias=bias).logits(hidden)


def _check(hidden: Tensor, head: Head, targets: Tensor) -> None:
    if hidden.dim() != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise ValueError(f"hidden must be (N, {head.weight.shape[1]}), got {tuple(hidden.shape)}")
    if targets.shape != hidden.shape[:1] or targets.dtype != torch.long:
        raise ValueError(
            f"targets must be ({len(hidden)},) long, got {tuple(targets.shape)} {targets.dtype}"
        )
