"""Tokenising trajectories: prompt and completion together, many rows at a time."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from transformers import PreTrainedTokenizerBase

from eval.prompts import encode_texts, render_prompt
from train.data.tokens import Tokens
from train.data.trajectory import Trajectory

CHARACTERS_AT_ONCE = 2**19  # a tokenizer takes some hundred bytes a token while it works


class EncodedRow(NamedTuple):
    """A trajectory's tokens, and how many its prompt has by itself."""

    tokens: Tokens
    prompt_length: int


def encode_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Trajectory]
) -> Iterator[EncodedRow]:
    """Yield each trajectory's tokens.

    A completion's ids as they were sampled are kept where they spell it. Otherwise prompt and
    completion are tokenised together, so that the boundary is where the model would put it: a
    token that spans it belongs to the completion. End of sequence is added unless truncated.
    """
    rows = [_last_turn(row) for row in rows]
    texts = _prompts(tokenizer, rows)
    whole = [text + str(row.completion) for text, row in zip(texts, rows, strict=True)]
    for part in _parts([len(text) for text in whole]):
        yield from _encode_part(tokenizer, rows[part], texts[part], whole[part])


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the token that fills up rows, which every loaded tokenizer has."""
    return cast(int, tokenizer.pad_token_id)  # declared as whatever an attribute of it may be


def _last_turn(row: Trajectory) -> Trajectory:
    """Return a conversation's last turn as its completion, and as its prompt what comes before."""
    if isinstance(row.prompt, str) or isinstance(row.completion, str):
        return row
    *before, last = row.completion
    return row._replace(prompt=row.prompt + before, completion=last["content"])


def _prompts(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Trajectory]) -> list[str]:
    texts: list[str] = []
    for number, row in enumerate(rows):
        # Rollouts of one prompt follow one another, and templates are slow.
        same = number and row.prompt == rows[number - 1].prompt
        texts.append(texts[-1] if same else render_prompt(tokenizer, row.prompt))
    return texts


def _parts(lengths: list[int]) -> Iterator[slice]:
    start, size = 0, 0
    for number, length in enumerate(lengths):
        if size and size + length > CHARACTERS_AT_ONCE:
            yield slice(start, number)
            start, size = number, 0
        size += length
    yield slice(start, len(lengths))


def _encode_part(tokenizer, rows, texts, whole) -> Iterator[EncodedRow]:
    distinct = list(dict.fromkeys(texts))
    prompts = dict(zip(distinct, encode_texts(tokenizer, distinct), strict=True))
    fresh = [n for n, row in enumerate(rows) if not _spelt(tokenizer, row)]
    together = encode_texts(tokenizer, [whole[n] for n in fresh])
    both = dict(zip(fresh, together, strict=True))
    end = tokenizer.eos_token_id
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        prompt = prompts[text]
        if number in both:
            tokens = _split(prompt, both[number], row.truncated, end)
        else:
            tokens = Tokens(prompt, row.token_ids)
        yield EncodedRow(tokens, len(prompt))


def _spelt(tokenizer: PreTrainedTokenizerBase, row: Trajectory) -> bool:
    if row.token_ids is None:
        return False
    text = tokenizer.decode(
        row.token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text == row.completion


def _split(prompt: list[int], both: list[int], truncated: bool, end: int | None) -> Tokens:
    boundary = len(prompt)
    if both[:boundary] != prompt:
        pairs = enumerate(zip(prompt, both, strict=False))
        boundary = next((i for i, (a, b) in pairs if a != b), min(len(prompt), len(both)))
    completion = both[boundary:]
    if end is not None and not truncated and completion[-1:] != [end]:
        completion.append(end)
    return Tokens(both[:boundary], completion)
