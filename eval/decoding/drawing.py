"""Draw next tokens from logits, each row's from random numbers of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from objectives.errors import InputError

NUCLEUS_CANDIDATES = 1024  # nearly every nucleus lies in these; a full sort is much slower


class Sampler:
    """Draws the next tokens of a batch."""

    def __init__(self, temperature: float, top_p: float, uniforms: Tensor | None, top_k: int = 0):
        self.temperature, self.top_p, self.top_k = temperature, top_p, top_k
        self.uniforms = uniforms

    def draw(self, logits: Tensor, rows: Tensor, step: int) -> Tensor:
        """Return the token ids (rows,) at a step from logits (rows, vocabulary)."""
        if self.uniforms is None:
            return logits.argmax(-1)
        probabilities = torch.softmax(logits.float() / self.temperature, -1)
        if 0 < self.top_k < probabilities.shape[-1]:
            probabilities = _most_probable(probabilities, self.top_k)
        if self.top_p < 1:
            probabilities = _nucleus(probabilities, self.top_p)
        cumulative = probabilities.cumsum(-1)
        # A uniform in (0, 1] of the total: the first index that reaches it exists, whatever the
        # rounding, and has a probability above 0.
        target = self.uniforms.to(logits.device)[rows, step, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target)[:, 0]
        return drawn.clamp(max=logits.shape[-1] - 1)  # matters for NaN only, which stops us later


def uniform_numbers(streams: Sequence[tuple[int, int, int]], count: int) -> Tensor:
    """Return (rows, count) numbers in (0, 1], a row from each stream's own generator."""
    rows = [np.random.default_rng(stream).random(count, np.float32) for stream in streams]
    return 1 - torch.from_numpy(np.stack(rows))


def check_finite(logits: Tensor) -> None:
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model's logits are not finite (NaN or infinite); its weights broke")


def _most_probable(probabilities: Tensor, count: int) -> Tensor:
    """Return the distribution over the `count` most probable tokens, and what is as probable."""
    least = probabilities.topk(count).values[:, -1:]
    kept = probabilities.masked_fill(probabilities < least, 0)
    return kept / kept.sum(-1, keepdim=True)  # a nucleus is one of what is left


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero what is less probable than the least probable token of the nucleus."""
    candidates = min(NUCLEUS_CANDIDATES, probabilities.shape[-1])
    top = probabilities.topk(candidates).values
    if candidates < probabilities.shape[-1] and bool((top.sum(-1) < top_p).any()):
        top = probabilities.sort(descending=True).values
    inside = top.cumsum(-1) - top < top_p
    # By threshold and not by rank: equals in rank (common in bfloat16) are then kept together,
    # and a draw does not depend on how a sort happens to order them.
    threshold = top.masked_fill(~inside, torch.inf).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < threshold, 0)
