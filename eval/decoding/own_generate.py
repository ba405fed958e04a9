"""Decode a batch by a model's own `generate`, with draws of ours."""

import contextlib
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from eval.decoding.drawing import Sampler, check_finite
from eval.decoding.in_step import CHECK_EVERY


@torch.inference_mode()
def decode_by_generate(
    model: PreTrainedModel,
    prompts: list[list[int]],
    sampler: Sampler,
    max_new_tokens: int,
    stop: list[int],
    report: Callable[[int], object],
) -> Tensor:
    """Return sampled ids (rows, max_new_tokens); what follows an end of sequence is noise.

    prompts: of one length, so that nothing is padded: a recurrent state would take it in.
    """
    ids = torch.tensor(prompts, device=next(model.parameters()).device)
    draws = _Draws(sampler, ids.shape[1], stop, report)
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=stop or None, pad_token_id=0
    )
    # A model may keep its state in itself (RecurrentGemma): a pass without a cache forgets it.
    model(input_ids=ids[:, :1], use_cache=False)
    with _without_settings(model):
        whole = cast("Callable[..., Tensor]", model.generate)(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=settings,
            logits_processor=LogitsProcessorList([draws]),
        )
    sampled = ids.new_zeros(len(prompts), max_new_tokens)
    new = whole[:, ids.shape[1] :]
    sampled[:, : new.shape[1]] = new
    return sampled


class _Draws(LogitsProcessor):
    """Leaves the token that is drawn as the only one that can be."""

    def __init__(
        self, sampler: Sampler, width: int, stop: list[int], report: Callable[[int], object]
    ):
        self.sampler, self.width, self.stop, self.report = sampler, width, stop, report

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        step, rows = input_ids.shape[1] - self.width, torch.arange(len(input_ids))
        if step % CHECK_EVERY == 0:
            check_finite(scores)
            ends = torch.tensor(self.stop, dtype=torch.long, device=input_ids.device)
            ended = torch.isin(input_ids[:, self.width :], ends).any(-1)
            self.report(int(ended.sum()))
        token = self.sampler.draw(scores, rows.to(scores.device), step)
        return torch.full_like(scores, -torch.inf).scatter(-1, token[:, None], 0.0)


@contextlib.contextmanager
def _without_settings(model: PreTrainedModel) -> Iterator[None]:
    """Set aside a model's own settings of generation, such as penalties: ours are all there is."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own
