"""The kernel's backward pass: gradients of hidden states and head, chunk by chunk.

In float32 logits are computed again as in the forward pass. Where the model computes in bfloat16
they are not: products have bfloat16 operands, and the gradient of a chunk's logits is bfloat16.
"""

import torch
from torch import Tensor

from objectives.head import Head, kernel_dtype
from objectives.products import HALF, add_product, as_they_are, half_backward

HALF_CHUNKS = 4  # whose positions are taken at a time in bfloat16: bytes of two chunks in float32


def chunks(count: int, size: int) -> list[slice]:
    """Return slices of `size` positions, which cover `count`; one where there are none."""
    return [slice(start, start + size) for start in range(0, max(count, 1), size)]


def head_gradients(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    log_probs: Tensor,
    upstream: Tensor,
    needs: tuple[bool, ...],
    chunk_size: int,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of hidden states (N, d), weight (V, d) and bias (V,), each where needed.

    log_probs: (N,) of the targets, as the forward pass gave them. upstream: (N,) their gradient.
    needs: which of the three are asked for; the others are None. So is the weight's where the
    head has a total, which it is added to.
    """
    weight, bias = head.weight, head.bias
    half = half_backward(hidden, weight, head.half)
    shifted = half and bias is None and head.softcap is None
    if not (shifted or as_they_are(hidden, weight)):  # cast once, not per chunk
        head = head._replace(weight=weight.to(kernel_dtype(hidden)))
    factor = weight.to(HALF) if half else head.weight
    to_hidden = torch.empty_like(hidden) if needs[0] else None
    to_weight, to_bias = head.total, None
    for rows in chunks(len(targets), chunk_size * (HALF_CHUNKS if shifted else 1)):
        given = hidden[rows], targets[rows, None], log_probs[rows, None], upstream[rows, None]
        to_logits = _in_half(head, factor, *given) if shifted else _in_full(head, *given)
        if needs[2]:
            to_bias = to_logits.sum(0) if to_bias is None else to_bias.add_(to_logits.sum(0))
        to_logits = to_logits.to(factor.dtype)
        if to_hidden is not None:
            to_hidden[rows] = (to_logits @ factor).to(hidden.dtype)
        if needs[1]:
            to_weight = add_product(to_weight, to_logits.T, hidden[rows].to(factor.dtype))
        del to_logits  # before the next chunk makes its own
    if to_weight is head.total:  # or nothing was asked for
        to_weight = None
    to_weight = None if to_weight is None else to_weight.to(weight.dtype)
    to_bias = None if to_bias is None or bias is None else to_bias.to(bias.dtype)
    return to_hidden, to_weight, to_bias


def _in_full(head: Head, hidden, target, log_probs, upstream) -> Tensor:
    """Return the gradient of a chunk's products of hidden states and weight, (n, V)."""
    logits = head.logits(hidden)
    # The chain through the cap needs the capped logits, so take it before overwriting.
    slope = None if head.softcap is None else 1 - (logits / head.softcap).square()
    normaliser = logits.gather(-1, target) - log_probs
    upstream = upstream.to(logits.dtype)
    to_logits = logits.sub_(normaliser).exp_().mul_(-upstream)
    to_logits.scatter_add_(-1, target, upstream)
    if slope is not None:
        to_logits.mul_(slope)
    return to_logits if head.scale == 1.0 else to_logits.mul_(head.scale)


def _in_half(head: Head, factor, hidden, target, log_probs, upstream) -> Tensor:
    """Return the same in bfloat16, of logits that are never there in float32.

    8 bits are too few for a logit, but not for a logit less the normaliser: that is near 0 where
    the probability is not. Of the target 1 - p is known from its log-prob; the others share it.
    """
    own = (hidden.float() * head.weight[target[:, 0]].float()).sum(-1, keepdim=True)
    shift = (log_probs - head.scale * own).to(HALF)
    others = torch.addmm(shift, hidden.to(HALF), factor.T, alpha=head.scale).exp_()
    total = others.scatter_(-1, target, 0.0).sum(-1, keepdim=True).float()
    share = head.scale * upstream.float() * log_probs.expm1()
    others.mul_((share / total.clamp_min(torch.finfo(total.dtype).tiny)).to(HALF))
    return others.scatter_(-1, target, -share.to(HALF))
