"""Sample completions in batches, each from its own random stream."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.context import check_known, context_of, known_tokens, turning_lengths
from eval.decoding.choice import way_of
from eval.decoding.drawing import Sampler, uniform_numbers
from eval.prompts import encode_text
from eval.turn_end import stop_ids
from objectives.errors import InputError


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
    report = progress or (lambda done, total: None)
    completions: dict[_Row, Completion] = {}
    was_training = model.training
    model.eval()
    try:
        way, turns = way_of(model), turning_lengths(model.config)
        ids = [encode_text(tokenizer, prompt) for prompt in prompts]
        _check_prompts(model, tokenizer, prompts, ids, max_new_tokens)
        # Prompts of one length share a batch, the longest first: what does not fit fails at once.
        order = sorted(range(len(prompts)), key=lambda prompt: -len(ids[prompt]))
        rows = [_Row(prompt, sample) for prompt in order for sample in range(samples)]
        stop = stop_ids(model, tokenizer)

        def kind_of(row: _Row) -> tuple[int, int]:
            """Return what rows that share a batch have in common: a length, where it matters."""
            length = len(ids[row.prompt])
            # Rotary frequencies turn for all rows of a batch, so that they must do so at once.
            first = bisect_left(turns, length)
            turning = first != bisect_left(turns, length + max_new_tokens)
            return first, length if turning or not way.pads else 0

        for batch in _batches(rows, kind_of, min(batch_size, way.rows or batch_size)):
            finished, uniforms = len(completions), None
            if temperature > 0:
                uniforms = uniform_numbers([(seed, keys[p], s) for p, s in batch], max_new_tokens)
            tokens = way.decode(
                model,
                [ids[row.prompt] for row in batch],
                Sampler(temperature, top_p, uniforms),
                max_new_tokens,
                stop,
                lambda done, before=finished: report(before + done, len(rows)),
            )
            completions.update(
                zip(batch, _completions(tokenizer, tokens.tolist(), stop), strict=True)
            )
            report(len(completions), len(rows))
    finally:
        model.train(was_training)
    return [[completions[_Row(p, s)] for s in range(samples)] for p in range(len(prompts))]


def _batches(
    rows: list[_Row], kind_of: Callable[[_Row], object], size: int
) -> Iterator[list[_Row]]:
    """Yield rows that may be decoded at once; those of a kind follow each other."""
    for _, alike in groupby(rows, key=kind_of):
        together = list(alike)
        for start in range(0, len(together), size):
            yield together[start : start + size]


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


def _check_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    ids: list[list[int]],
    max_new_tokens: int,
) -> None:
    context, known = context_of(model.config), known_tokens(model)
    for index, (prompt, tokens) in enumerate(zip(prompts, ids, strict=True)):
        if not tokens:
            raise InputError(f"prompt {index} is empty; a completion needs at least one token")
        if context is not None and len(tokens) + max_new_tokens > context:
            raise InputError(
                f"prompt {index} ({prompt[:40]!r}...) has {len(tokens)} tokens; with "
                f"max_new_tokens {max_new_tokens} that is more than the model's context of "
                f"{context}; lower max_new_tokens or shorten the prompt"
            )
        check_known(f"prompt {index} ({prompt[:40]!r}...)", tokens, known, tokenizer)
