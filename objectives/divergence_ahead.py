"""How far the policy is from its own extrapolation, at each position over the whole vocabulary."""

import functools
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from objectives.head import Head, check_lam, check_other
from objectives.kernel import cast_once, positions_at_once, tokens_ruled_out
from objectives.products import in_float32

Divergence = Literal["kl", "js"]
NOTHING = -1e30  # a logit of a token that has no probability; finite, for the gradients' sake
LOG_2 = 0.6931471805599453


def future_divergence(
    hidden: Tensor,
    head: Head,
    origin: tuple[Tensor, Head],
    lam: float,
    *,
    kind: Divergence = "kl",
    chunk_size: int | None = None,
) -> Tensor:
    """Return at each position the divergence of the policy from its future policy, (N, d) -> (N,).

    The future policy `π̂ = softmax((1+λ) h_θ - λ h_origin)` is a constant, a teacher for the policy
    (RISE, arXiv 2609.05295; that nothing flows through it is assumed by us). Exact over the whole
    vocabulary and differentiable with respect to `hidden` and `head`; logits exist for one chunk of
    positions at a time, forward and backward, and are computed again for the latter. In the
    precision of `token_log_probs`.

    hidden: (N, d) final hidden states. origin: hidden states (N, d') and head of the policy that
    the future is extrapolated from. lam: λ, 0 or more; 0 gives 0.
    kind: `kl` is KL(π_θ || π̂), `js` the Jensen-Shannon divergence, at most log 2, both in nats.
    Tokens whose bias is -inf in one of the heads are left out of both distributions.
    chunk_size: positions at a time, by default as many as fill 64 MiB with logits, 512 or more.
    Raises ValueError for shapes and numbers that do not fit.
    """
    if hidden.dim() != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise ValueError(
            f"hidden must be (N, {head.weight.shape[1]}) as head.weight, got {tuple(hidden.shape)}"
        )
    check_other(hidden, head, "origin", *origin)
    check_lam(lam, None, origin)
    if kind not in ("kl", "js"):
        raise ValueError(f"kind must be 'kl' or 'js', got {kind!r}")
    chunk_size = positions_at_once(head, chunk_size)
    copies = {}
    _, head = cast_once(hidden, head, copies)
    states, other = cast_once(*origin, copies)
    other = other._replace(weight=other.weight.detach())
    one = functools.partial(_divergence, head=head, other=other, lam=lam, kind=kind)
    parts = [
        checkpoint(one, mine, theirs, use_reentrant=False, preserve_rng_state=False)
        for mine, theirs in zip(
            hidden.split(chunk_size), states.detach().split(chunk_size), strict=True
        )
    ]
    return torch.cat(parts)


def _divergence(mine: Tensor, theirs: Tensor, *, head, other, lam, kind) -> Tensor:
    """Return the divergences of one chunk, (n, d) -> (n,)."""
    with in_float32(mine, head.half):
        logits = head.logits(mine)
        with torch.no_grad():
            ahead = torch.lerp(logits, other.logits(theirs), -lam) if lam else logits.detach()
        left_out = tokens_ruled_out(head, other)
        if left_out is not None:
            logits = logits.masked_fill(left_out, NOTHING)
            ahead = ahead.masked_fill(left_out, NOTHING)
        policy, future = logits.log_softmax(-1), ahead.log_softmax(-1)
        if kind == "kl":
            return (policy.exp() * (policy - future)).sum(-1)
        middle = torch.logaddexp(policy, future) - LOG_2
        of_policy = (policy.exp() * (policy - middle)).sum(-1)
        return (of_policy + (future.exp() * (future - middle)).sum(-1)) / 2
