"""Decode a batch of prompts of any lengths, token by token, with a cache of ours."""

import inspect
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from eval.context import turning_lengths
from eval.decoding.drawing import Sampler, check_finite
from eval.decoding.growing_cache import growing_cache

CHECK_EVERY = 4  # tokens between two looks at which rows have finished (each one is a sync)


@torch.inference_mode()
def decode_in_step(
    model: PreTrainedModel,
    prompts: list[list[int]],
    sampler: Sampler,
    max_new_tokens: int,
    stop: list[int],
    report: Callable[[int], object],
) -> Tensor:
    """Return sampled ids (rows, max_new_tokens); what follows an end of sequence is noise.

    Prompts are of one length where a length is passed at which rotary frequencies turn.
    """
    batch = CachedBatch(model, prompts, max_new_tokens)
    return decode_batch(batch, sampler, max_new_tokens, stop, report)


class Batch(Protocol):
    """Rows of tokens that were read; more may be."""

    logits: Tensor
    """(rows, vocabulary), of what comes next."""

    def append(self, tokens: Tensor) -> None:
        """Read a token (rows,) for each row."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone, in this order; `logits` stay as they are."""
        ...


def decode_batch(
    batch: Batch,
    sampler: Sampler,
    max_new_tokens: int,
    stop: list[int],
    report: Callable[[int], object],
) -> Tensor:
    """Return ids (rows, max_new_tokens) sampled after prompts that a batch has read."""
    rows, device = len(batch.logits), batch.logits.device
    alive = torch.arange(rows, device=device)
    finished = torch.zeros(rows, dtype=torch.bool, device=device)
    ends = torch.tensor(stop, dtype=torch.long, device=device)
    sampled = torch.zeros(rows, max_new_tokens, dtype=torch.long, device=device)
    for step in range(max_new_tokens):
        token = sampler.draw(batch.logits, alive, step)
        sampled[alive, step] = token
        finished |= torch.isin(token, ends)
        if step % CHECK_EVERY == 0:
            check_finite(batch.logits)
            going_on = (~finished).nonzero()[:, 0]
            report(rows - len(going_on))
            if len(going_on) == 0:
                break
            if len(going_on) <= 0.9 * len(alive):  # worth a copy of the cache
                alive, finished, token = alive[going_on], finished[going_on], token[going_on]
                batch.keep(going_on)
        if step + 1 < max_new_tokens:
            batch.append(token)
    return sampled


class CachedBatch:
    """Prompts that a model has read, padded on the left; `logits` (rows, vocabulary) come next."""

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]], room: int):
        """Read the prompts; `room` more tokens may be appended.

        Each distinct prompt is read once; its samples then share what the cache holds of it.
        """
        self.model = model
        self._known = inspect.signature(model.forward).parameters
        self._cache = growing_cache(model.config)
        device = next(model.parameters()).device
        self._turns = turning_lengths(model.config)
        distinct, owner = _distinct(prompts)
        self._ids, self._mask = _left_pad(distinct, room, device)
        self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        self._width = 0
        logits = self._read(self._ids)
        owner = owner.to(device)
        self.keep(owner)
        self.logits = logits[owner]

    def append(self, tokens: Tensor) -> None:
        """Read a token (rows,) for each row."""
        if self._turns:
            self._ids = torch.cat([self._ids, tokens[:, None]], 1)
        if self._width in self._turns:  # what is kept of earlier tokens has other frequencies
            self._cache, self._width = growing_cache(self.model.config), 0
            self.logits = self._read(self._ids)
        else:
            self.logits = self._read(tokens[:, None])

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows of the batch alone, in this order; `logits` stay as they are."""
        self._cache.reorder_cache(cast("torch.LongTensor", rows))
        self._mask, self._positions = self._mask[rows], self._positions[rows]
        self._ids = self._ids[rows]

    def _read(self, input_ids: Tensor) -> Tensor:
        before, self._width = self._width, self._width + input_ids.shape[1]
        taken = {"position_ids": self._positions[:, before : self._width], "logits_to_keep": 1}
        output = self.model(
            input_ids=input_ids,
            attention_mask=self._mask[:, : self._width],
            use_cache=True,
            **{name: value for name, value in taken.items() if name in self._known},
            **{cache_argument(self.model): self._cache},
        )
        return output.logits[:, -1]


def cache_argument(model: PreTrainedModel) -> str:
    """Return the name by which a model takes a cache: that of transformers 5.24, or the older."""
    known = inspect.signature(model.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def _distinct(prompts: Sequence[list[int]]) -> tuple[list[list[int]], Tensor]:
    """Return the distinct prompts and, for each row, the index of its own."""
    index: dict[tuple[int, ...], int] = {}
    owner = [index.setdefault(tuple(prompt), len(index)) for prompt in prompts]
    return [list(prompt) for prompt in index], torch.tensor(owner)


def _left_pad(prompts: list[list[int]], room: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids (rows, width) padded on the left, and the mask (rows, width + room)."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts], device=device)
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    columns = torch.arange(width + room, device=device)
    return ids, (columns >= width - lengths[:, None]).long()
