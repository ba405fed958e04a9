"""Sample completions of texts: encoded once, sampled by an engine, decoded."""

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.context import check_known, context_of
from eval.engines.by_transformers import BATCH_SIZE, TransformersEngine
from eval.engines.interface import Completion, Engine, Progress, Sampling
from eval.prompts import encode_text
from eval.turn_end import stop_ids
from objectives.errors import InputError


class DecodedCompletion(NamedTuple):
    """One sampled completion."""

    tokens: list[int]
    """Sampled ids, end of sequence included where it was reached."""
    text: str
    """Decoded without special tokens."""
    truncated: bool
    """Hit the length limit before an end of sequence."""


def generate(
    model: PreTrainedModel | Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    samples: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    max_new_tokens: int = 256,
    seed: int = 0,
    keys: Sequence[int] | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> list[list[DecodedCompletion]]:
    """Sample `samples` completions of each prompt.

    model: or an engine, whose batches are then its own.
    prompts: texts as the model sees them (chat templates already rendered).
    temperature, top_p, top_k: as `Sampling` has them.
    keys: a number >= 0 for each prompt, by default its index. A completion's random numbers
        depend on (seed, key, sample) alone, so batches and order do not change it (beyond
        floating point).
    batch_size: completions of a model decoded at once.
    progress: called with (completions finished, completions in all).
    Returns a list of `samples` completions for each prompt. Raises InputError for a flag out of
    range, an empty prompt or one too long for the model, and logits that are not finite.
    """
    if isinstance(model, PreTrainedModel):
        engine = TransformersEngine(model, batch_size)
        engine.check()
    else:
        engine = model
    if keys is not None and (len(keys) != len(prompts) or any(key < 0 for key in keys)):
        raise InputError(f"keys must be {len(prompts)} numbers >= 0, one for each prompt")
    stop = tuple(stop_ids(engine, tokenizer))
    sampling = Sampling(temperature, top_p, top_k, max_new_tokens, stop, samples, seed)
    ids = [encode_text(tokenizer, prompt) for prompt in prompts]
    _check_prompts(engine, tokenizer, prompts, ids, max_new_tokens)
    completions = engine.generate(ids, sampling, keys=keys, progress=progress)
    return [[_decoded(tokenizer, completion) for completion in row] for row in completions]


def _decoded(tokenizer: PreTrainedTokenizerBase, completion: Completion) -> DecodedCompletion:
    tokens, stopped = completion.token_ids, completion.finish == "stop"
    # Decoded as the model wrote it: no clean-up of the spaces before punctuation.
    text = tokenizer.decode(
        tokens[:-1] if stopped else tokens,
        skip_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    return DecodedCompletion(tokens, str(text), truncated=not stopped)


def _check_prompts(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    ids: list[list[int]],
    max_new_tokens: int,
) -> None:
    context, known = context_of(engine.config), engine.known_tokens
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
