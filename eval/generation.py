"""Sample completions in batches, each from its own random stream."""

import inspect
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.growing_cache import growing_cache
from eval.prompts import encode_text
from eval.turn_end import stop_ids
from objectives.errors import InputError

CHECK_EVERY = 4  # tokens between two looks at which rows have finished (each one is a sync)
NUCLEUS_CANDIDATES = 1024  # nearly every nucleus lies in these; a full sort is much slower


class Completion(NamedTuple):
    """One sampled completion."""

    tokens: list[int]
    """Sampled ids, end of sequence included where it was reached."""
    text: str
    """Decoded without special tokens."""
    truncated: bool
    """Hit the length limit before an end of sequence."""


class _Row(NamedTuple):
    prompt: int
    sample: int


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    samples: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_new_tokens: int = 256,
    seed: int = 0,
    keys: Sequence[int] | None = None,
    batch_size: int = 256,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Completion]]:
    """Sample `samples` completions of each prompt.

    prompts: texts as the model sees them (chat templates already rendered).
    temperature: 0 takes the most probable token.
    top_p: sample from the smallest set of tokens with at least this probability.
    keys: a number >= 0 for each prompt, by default its index. A completion's random numbers
        depend on (seed, key, sample) alone, so batches and order do not change it (beyond
        floating point).
    batch_size: completions decoded at once.
    progress: called with (completions finished, completions in all).
    Returns a list of `samples` completions for each prompt. Raises InputError for a flag out of
    range, an empty prompt or one too long for the model, and logits that are not finite.
    """
    keys = range(len(prompts)) if keys is None else keys
    _check_flags(len(prompts), samples, temperature, top_p, max_new_tokens, seed, keys, batch_size)
    ids = [encode_text(tokenizer, prompt) for prompt in prompts]
    _check_lengths(model, prompts, ids, max_new_tokens)
    # Prompts of one length share a batch, the longest first: what does not fit fails at once.
    order = sorted(range(len(prompts)), key=lambda prompt: -len(ids[prompt]))
    rows = [_Row(prompt, sample) for prompt in order for sample in range(samples)]
    stop = stop_ids(model, tokenizer)
    report = progress or (lambda done, total: None)
    completions: dict[_Row, Completion] = {}
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            uniforms = None
            if temperature > 0:
                uniforms = _uniforms([(seed, keys[p], s) for p, s in batch], max_new_tokens)
            tokens = _decode_batch(
                model,
                [ids[row.prompt] for row in batch],
                _Sampler(temperature, top_p, uniforms),
                max_new_tokens,
                stop,
                lambda done, before=start: report(before + done, len(rows)),
            )
            completions.update(
                zip(batch, _completions(tokenizer, tokens.tolist(), stop), strict=True)
            )
            report(start + len(batch), len(rows))
    finally:
        model.train(was_training)
    return [[completions[_Row(p, s)] for s in range(samples)] for p in range(len(prompts))]


class _Sampler:
    """Draws the next tokens of a batch."""

    def __init__(self, temperature: float, top_p: float, uniforms: Tensor | None):
        self.temperature, self.top_p, self.uniforms = temperature, top_p, uniforms

    def draw(self, logits: Tensor, rows: Tensor, step: int) -> Tensor:
        """Return the token ids (rows,) at a step from logits (rows, vocabulary)."""
        if self.uniforms is None:
            return logits.argmax(-1)
        probabilities = torch.softmax(logits.float() / self.temperature, -1)
        if self.top_p < 1:
            probabilities = _nucleus(probabilities, self.top_p)
        cumulative = probabilities.cumsum(-1)
        # A uniform in (0, 1] of the total: the first index that reaches it exists, whatever the
        # rounding, and has a probability above 0.
        target = self.uniforms.to(logits.device)[rows, step, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target)[:, 0]
        return drawn.clamp(max=logits.shape[-1] - 1)  # matters for NaN only, which stops us later


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


def _uniforms(streams: Sequence[tuple[int, int, int]], count: int) -> Tensor:
    """Return (rows, count) numbers in (0, 1], a row from each stream's own generator."""
    rows = [np.random.default_rng(stream).random(count, np.float32) for stream in streams]
    return 1 - torch.from_numpy(np.stack(rows))


@torch.inference_mode()
def _decode_batch(
    model: PreTrainedModel,
    prompts: list[list[int]],
    sampler: _Sampler,
    max_new_tokens: int,
    stop: list[int],
    report: Callable[[int], object],
) -> Tensor:
    """Return sampled ids (rows, max_new_tokens); what follows an end of sequence is noise."""
    device = next(model.parameters()).device
    distinct, owner = _distinct(prompts)
    input_ids, mask = _left_pad(distinct, max_new_tokens, device)
    width, owner = input_ids.shape[1], owner.to(device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, named = growing_cache(model.config), cache_argument(model)
    # Each distinct prompt is read once; its samples then share what the cache holds of it.
    output = model(
        input_ids=input_ids,
        attention_mask=mask[:, :width],
        position_ids=positions[:, :width],
        use_cache=True,
        logits_to_keep=1,
        **{named: cache},
    )
    logits = output.logits[owner, -1]
    cache.batch_select_indices(owner)
    mask, positions = mask[owner], positions[owner]

    alive = torch.arange(len(prompts), device=device)
    finished = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    ends = torch.tensor(stop, dtype=torch.long, device=device)
    sampled = torch.zeros(len(prompts), max_new_tokens, dtype=torch.long, device=device)
    for step in range(max_new_tokens):
        token = sampler.draw(logits, alive, step)
        sampled[alive, step] = token
        finished |= torch.isin(token, ends)
        if step % CHECK_EVERY == 0:
            _check_finite(logits)
            going_on = (~finished).nonzero()[:, 0]
            report(len(prompts) - len(going_on))
            if len(going_on) == 0:
                break
            if len(going_on) <= 0.9 * len(alive):  # worth a copy of the cache
                alive, finished, token = alive[going_on], finished[going_on], token[going_on]
                mask, positions = mask[going_on], positions[going_on]
                cache.batch_select_indices(going_on)
        if step + 1 < max_new_tokens:
            output = model(
                input_ids=token[:, None],
                attention_mask=mask[:, : width + step + 1],
                position_ids=positions[:, width + step, None],
                use_cache=True,
                logits_to_keep=1,
                **{named: cache},
            )
            logits = output.logits[:, -1]
    return sampled


def cache_argument(model: PreTrainedModel) -> str:
    """Return the name by which a model takes a cache: that of transformers 5.24, or the older."""
    known = inspect.signature(model.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def _distinct(prompts: list[list[int]]) -> tuple[list[list[int]], Tensor]:
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


def _completions(
    tokenizer: PreTrainedTokenizerBase, rows: list[list[int]], stop: list[int]
) -> list[Completion]:
    ends = set(stop)
    completions = []
    for row in rows:
        end = next((at for at, token in enumerate(row) if token in ends), None)
        tokens = row if end is None else row[: end + 1]
        # Decoded as the model wrote it: no clean-up of the spaces before punctuation.
        text = tokenizer.decode(
            row[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        completions.append(Completion(tokens, str(text), truncated=end is None))
    return completions


def _check_flags(
    prompts: int,
    samples: int,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
    keys: Sequence[int],
    batch_size: int,
) -> None:
    for name, value, least in (
        ("samples", samples, 1),
        ("max_new_tokens", max_new_tokens, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise InputError(f"{name} is {value}; it must be at least {least}")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature is {temperature}; give 0 (greedy) or a positive number")
    if not 0 < top_p <= 1:
        raise InputError(f"top_p is {top_p}; it must be above 0 and at most 1")
    if len(keys) != prompts or any(key < 0 for key in keys):
        raise InputError(f"keys must be {prompts} numbers >= 0, one for each prompt")


def _check_lengths(
    model: PreTrainedModel, prompts: Sequence[str], ids: list[list[int]], max_new_tokens: int
) -> None:
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for index, (prompt, tokens) in enumerate(zip(prompts, ids, strict=True)):
        if not tokens:
            raise InputError(f"prompt {index} is empty; a completion needs at least one token")
        if context is not None and len(tokens) + max_new_tokens > context:
            raise InputError(
                f"prompt {index} ({prompt[:40]!r}...) has {len(tokens)} tokens; with "
                f"max_new_tokens {max_new_tokens} that is more than the model's context of "
                f"{context}; lower max_new_tokens or shorten the prompt"
            )


def _check_finite(logits: Tensor) -> None:
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model's logits are not finite (NaN or infinite); its weights broke")
