"""Decode from the future policy: the policy's logits, extrapolated away from a reference's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor
from transformers import PreTrainedModel

from eval.context import context_of, known_tokens
from eval.decoding.choice import way_of
from eval.decoding.drawing import Sampler
from eval.decoding.in_step import CachedBatch, decode_batch
from objectives.errors import InputError


@dataclass(frozen=True)
class Future:
    """What a policy is extrapolated from, and how far: softmax(h + λ (h - h_ref)) of logits h.

    reference: the model with the logits h_ref, which stays its owner's. lam: λ; 0 is the policy
    itself, -1 the reference, both to the bit. Raises InputError for a λ that is not finite.
    """

    reference: PreTrainedModel
    lam: float

    def __post_init__(self):
        if not isfinite(self.lam):
            raise InputError(f"lam is {self.lam}; it must be a finite number")

    def check(self, policy: PreTrainedModel) -> None:
        """Raise InputError for two models, in evaluation mode, that cannot be read side by side."""
        for model, what in ((policy, "policy"), (self.reference, "reference")):
            if not way_of(model).pads:
                raise InputError(
                    f"the {what} {type(model).__name__} is sampled by its own generate alone, "
                    f"which cannot read a policy and its reference side by side"
                )
        sizes = known_tokens(policy), known_tokens(self.reference)
        if sizes[0] != sizes[1]:
            raise InputError(
                f"the policy has another vocabulary than its reference: {sizes[0]} and "
                f"{sizes[1]} tokens"
            )
        ours, theirs = context_of(policy.config), context_of(self.reference.config)
        if theirs is not None and (ours is None or ours > theirs):
            raise InputError(
                f"the reference looks at {theirs} tokens, fewer than the policy "
                f"({'any number' if ours is None else ours})"
            )

    def decode(
        self,
        policy: PreTrainedModel,
        prompts: list[list[int]],
        sampler: Sampler,
        max_new_tokens: int,
        stop: list[int],
        report: Callable[[int], object],
    ) -> Tensor:
        """Return ids sampled from the future policy, as `decode_in_step` does from a model."""
        with torch.inference_mode():
            batch = FutureBatch(policy, self, prompts, max_new_tokens)
            return decode_batch(batch, sampler, max_new_tokens, stop, report)


class FutureBatch:
    """Two cached batches that read the same tokens; `logits` are the future policy's."""

    def __init__(
        self, policy: PreTrainedModel, future: Future, prompts: Sequence[list[int]], room: int
    ):
        """Read the prompts with both models; `room` more tokens may be appended."""
        self._lam = future.lam
        self._policy = CachedBatch(policy, prompts, room)
        self._reference = CachedBatch(future.reference, prompts, room)
        self.logits = self._combined()

    def append(self, tokens: Tensor) -> None:
        """Read a token (rows,) for each row."""
        self._policy.append(tokens)
        self._reference.append(tokens)
        self.logits = self._combined()

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows of the batch alone, in this order; `logits` stay as they are."""
        self._policy.keep(rows)
        self._reference.keep(rows)

    def _combined(self) -> Tensor:
        ours, theirs = self._policy.logits, self._reference.logits
        dtype = torch.promote_types(ours.dtype, torch.float32)
        # h + λ (h - h_ref), in the form that gives h at 0 and h_ref at -1 without rounding.
        return torch.lerp(theirs.to(ours.device, dtype), ours.to(dtype), 1 + self._lam)
