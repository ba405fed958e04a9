"""From final hidden states and an output head to log-probs of sampled tokens, chunk by chunk.

The only place that sees logits. Each chunk of positions has its (chunk, V) logits, and gives them
up before the next; the backward pass computes them again. Log-probs are computed in float32
(float64 for float64 hidden states) at temperature 1, whatever the model's dtype; so are gradients,
but for models that compute in bfloat16.
"""

import functools
import math
import operator
from typing import NamedTuple

import torch
from torch import Tensor

from objectives.head import (
    Head,
    check_lam,
    check_other,
    check_policy,
    check_targets,
    kernel_dtype,
)
from objectives.kernel_backward import chunks, head_gradients
from objectives.products import as_they_are, in_float32

CHUNK_ELEMENTS = 2**24  # logits of a chunk by default: 64 MiB in float32
CHUNK_POSITIONS = 512  # at least: with fewer the head's products wait for memory


class TokenLogProbs(NamedTuple):
    """What the kernel returns, (N,) each in float32; None where it was not asked for."""

    policy: Tensor  # log π_θ(y), differentiable
    reference: Tensor | None  # log π_ref(y)
    future: Tensor | None  # log π̂(y)
    entropy: Tensor | None  # of π_θ, in nats
    collision: Tensor | None = None  # log Σ_v π_θ(v)², the chance that two draws are one token
    future_collision: Tensor | None = None  # log Σ_v π̂(v)²


def token_log_probs(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    *,
    reference: tuple[Tensor, Head] | None = None,
    origin: tuple[Tensor, Head] | None = None,
    lam: float | None = None,
    entropy: bool = False,
    collision: bool = False,
    chunk_size: int | None = None,
) -> TokenLogProbs:
    """Return log-probs of the sampled tokens under policy, reference and future policy.

    The future policy is `softmax((1+λ) h_θ - λ h_origin)` over the whole vocabulary, from the
    reference where no other origin is given (arXiv 2509.19893). Gradients flow to `hidden` and
    `head` through the policy's log-probs alone; to differentiate them again raises RuntimeError.

    For a model in bfloat16 (`head.half`, or hidden states and weight are), on processors that have
    it, products of the backward pass have bfloat16 operands. That takes gradients about .003 of
    their norm from the exact ones, less than half as far as logits in bfloat16 would, and half to
    two thirds of the time on a CPU with AVX512-BF16. Log-probs keep float32: a GPU multiplies
    bfloat16 hidden states and weight as they are, without a copy of the head, and sums in float32.
    With `head.half` it multiplies float32 ones in TF32, which moves log-probs by .0006 on average,
    .003 at most (d = 3584, V = 151,936); a CPU does not.

    hidden: (N, d) final hidden states at the positions that predict the targets.
    targets: (N,) ids of the sampled tokens. A token whose bias is -inf in one of the heads, as that
    of a padded vocabulary may be, is none of the future policy's.
    reference: hidden states (N, d') and head of the reference, whose vocabulary must be the same.
    origin: as reference, of the policy from which the future is extrapolated, such as that of
    some steps ago; by default the reference.
    lam: λ >= 0; the future policy is computed where it is given. entropy, collision: compute these
    too, the collision of the future policy where that is computed.
    chunk_size: positions at a time, by default as many as fill 64 MiB with logits, 512 or more;
    a backward pass in bfloat16 takes four times as many.
    Raises ValueError for shapes and numbers that do not fit, targets outside of the vocabulary (on
    a GPU torch itself stops there), `lam` without a reference or origin, and an origin without
    `lam`.
    """
    check_policy(hidden, head, targets)
    for name, other in (("reference", reference), ("origin", origin)):
        if other is not None:
            check_other(hidden, head, name, *other)
    check_lam(lam, reference, origin)
    chunk_size = positions_at_once(head, chunk_size)
    form = head.scale, head.softcap, head.half, head.total
    with in_float32(hidden, head.half):
        policy, *rest = _TokenLogProbs.apply(
            hidden, head.weight, head.bias, form, targets,
            reference, origin, lam, (entropy, collision), chunk_size,
        )  # fmt: skip
    return TokenLogProbs(policy, *rest)


def positions_at_once(head: Head, chunk_size: int | None) -> int:
    """Return the positions of a chunk, by default as many as fill 64 MiB with logits, 512 or more.

    Raises ValueError for fewer than 1.
    """
    if chunk_size is None:
        return max(CHUNK_POSITIONS, CHUNK_ELEMENTS // head.weight.shape[0])
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be 1 or more, got {chunk_size}")
    return chunk_size


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(hidden, weight, bias, form, targets, reference, origin, lam, also, chunk_size):
        check_targets(targets, len(weight))  # here, where no transform of torch.func hides them
        copies = {}
        _, head = cast_once(hidden, Head(weight, bias, *form), copies)
        reference, origin = (other and cast_once(*other, copies) for other in (reference, origin))
        parts = []
        for rows in chunks(len(targets), chunk_size):
            others = _at(reference, rows), _at(origin, rows)
            parts.append(_chunk(head, hidden[rows], targets[rows, None], *others, lam, *also))
        return tuple(_concatenate(column) for column in zip(*parts, strict=True))

    @staticmethod
    def setup_context(ctx, inputs, output):
        hidden, weight, bias, form, targets, *_, chunk_size = inputs
        ctx.save_for_backward(hidden, weight, bias, targets, output[0])
        ctx.form, ctx.chunk_size = form, chunk_size
        ctx.mark_non_differentiable(*[x for x in output[1:] if x is not None])

    @staticmethod
    def backward(ctx, *gradients):  # pyright: ignore[reportIncompatibleMethodOverride]
        sources = gradients[0], *ctx.saved_tensors[:3]
        with torch.no_grad():
            found = _TokenLogProbs.gradients(ctx, *gradients)
        return *_Once.apply(*found, *sources), *[None] * 7

    @staticmethod
    def gradients(ctx, *gradients) -> tuple[Tensor | None, ...]:
        """Return the gradients of hidden states, weight and bias, None where not asked for."""
        hidden, weight, bias, targets, log_probs = ctx.saved_tensors
        head, needs = Head(weight, bias, *ctx.form), ctx.needs_input_grad[:3]
        with in_float32(hidden, head.half):
            return head_gradients(
                hidden, head, targets, log_probs, gradients[0], needs, ctx.chunk_size
            )


class _Once(torch.autograd.Function):
    """Three gradients as they are, which cannot be differentiated: not as if they were constants.

    PyTorch's `once_differentiable` raises where the upstream gradient depends on something, this
    also where the hidden states or the head do.
    """

    @staticmethod
    def forward(to_hidden, to_weight, to_bias, *sources):
        return to_hidden, to_weight, to_bias

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *gradients):
        raise RuntimeError(
            "token_log_probs has no second derivatives: differentiate its log-probs once, or "
            "compute them from the logits"
        )


def _chunk(
    head, hidden, target, reference, origin, lam, entropy, collision
) -> tuple[Tensor | None, ...]:
    """Return what the kernel returns, for one chunk: its logits are given up at the end."""
    logits = head.logits(hidden)
    policy, spread, met = _pick(logits, target, entropy, collision, tokens_ruled_out(head))
    reference_log_prob = future = future_met = other = None
    if reference is not None:
        other = reference[1].logits(reference[0])
        reference_log_prob, *_ = _pick(other, target)
    if lam == 0:  # whatever another's head rules out
        future, future_met = policy, met
    elif lam is not None:
        source = reference if origin is None else origin
        assert source is not None  # check_lam
        if origin is not None:
            other = origin[1].logits(origin[0])
        # logits - λ (other - logits): exactly the logits where both are the same.
        ahead = logits.lerp_(other, -lam)
        ruled_out = tokens_ruled_out(head, source[1])
        if ruled_out is not None:  # inf - inf
            ahead.masked_fill_(ruled_out, -math.inf)
        future, _, future_met = _pick(ahead, target, collision=collision)
    return policy, reference_log_prob, future, spread, met, future_met


def cast_once(hidden: Tensor, head: Head, copies: dict[int, Tensor]) -> tuple[Tensor, Head]:
    """Return hidden states and head, its weight as products want it: once for chunks and models.

    copies: those that were made for heads before, by the id of what they are of.
    """
    if as_they_are(hidden, head.weight):
        return hidden, head
    key = id(head.weight)
    if key not in copies:
        copies[key] = head.weight.to(kernel_dtype(hidden))
    return hidden, head._replace(weight=copies[key])


def _at(other: tuple[Tensor, Head] | None, rows: slice) -> tuple[Tensor, Head] | None:
    return None if other is None else (other[0][rows], other[1])


def tokens_ruled_out(*heads: Head) -> Tensor | None:
    """Return (V,) whether a bias gives a token no probability; None where no head has one."""
    biases = [head.bias for head in heads if head.bias is not None]
    return functools.reduce(operator.or_, [x == -math.inf for x in biases]) if biases else None


def _pick(
    logits: Tensor,
    target: Tensor,
    entropy: bool = False,
    collision: bool = False,
    ruled_out: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return log-probs of the targets, entropy and collision, with one temporary of their size."""
    top = logits.amax(-1, keepdim=True)
    weights = (logits - top).exp_()
    total = weights.sum(-1)
    normaliser = total.log() + top.squeeze(-1)
    log_probs = logits.gather(-1, target).squeeze(-1) - normaliser
    met = 2 * (torch.linalg.vector_norm(weights, dim=-1) / total).log() if collision else None
    if not entropy:
        return log_probs, None, met
    products = weights.mul_(logits)
    if ruled_out is not None:  # 0 * inf
        products.masked_fill_(ruled_out, 0.0)
    return log_probs, normaliser - products.sum(-1) / total, met


def _concatenate(column: tuple[Tensor | None, ...]) -> Tensor | None:
    parts = [part for part in column if part is not None]
    return torch.cat(parts) if parts else None
