"""All prompts looked at before anything is sampled: which fit, and which cannot be read at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from transformers import PreTrainedTokenizerBase

from eval.context import Reads, check_known, context_of
from eval.prompts import encode_texts
from objectives.errors import InputError

NAMED = 5  # rows of those left out; the others are counted


@dataclass(frozen=True)
class Limit:
    """How long completions may be, and which flag says so."""

    tokens: int
    flag: str = "--max-new-tokens"

    def __str__(self) -> str:
        return f"{self.flag} {self.tokens}"


@dataclass(frozen=True)
class CheckedPrompts:
    """Which prompts are sampled, by their places in the list."""

    kept: list[int]
    left_out: dict[str, int]  # how many are not, by a reason that names their rows

    def lines(self) -> list[str]:
        """Return what is left out, in words."""
        return [f"left out: {count} ({reason})" for reason, count in self.left_out.items()]


def asked(
    ask: Callable[[PreTrainedTokenizerBase, str], str],
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    source: str,
    skipped: int = 0,
) -> list[str]:
    """Return the prompt of each question of a file.

    skipped: rows of the file before the first question. Raises InputError naming the row whose
    question cannot be asked, as where the chat template refuses it.
    """
    prompts = []
    for row, question in enumerate(questions, skipped + 1):
        try:
            prompts.append(ask(tokenizer, question))
        except InputError as error:
            raise InputError(f"{source} row {row}: {error}") from None
    return prompts


def check_prompts(
    engine: Reads,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    limit: Limit,
    source: str,
    skipped: int = 0,
) -> CheckedPrompts:
    """Return which prompts leave room for a completion in the model's context.

    source, skipped: as `asked` has them. Raises InputError naming the row of a prompt without
    tokens or with one that the model does not know, and where no prompt fits.
    """
    ids = encode_texts(tokenizer, prompts)
    _check_tokens(engine, tokenizer, ids, source, skipped)
    context = context_of(engine.config)
    if context is None:
        return CheckedPrompts(list(range(len(ids))), {})
    room = max(0, context - limit.tokens)
    kept = [place for place, tokens in enumerate(ids) if len(tokens) <= room]
    if ids and not kept:
        raise InputError(
            f"{source}: no prompt fits: the shortest has {min(map(len, ids))} tokens, and the "
            f"model's context of {context} leaves {room} beside {limit}: lower that, or choose "
            f"another model"
        )
    long = [place + skipped + 1 for place, tokens in enumerate(ids) if len(tokens) > room]
    if not long:
        return CheckedPrompts(kept, {})
    reason = (
        f"prompts longer than the {room} tokens that the model's context of {context} leaves "
        f"beside {limit}: {source} {_rows(long)}"
    )
    return CheckedPrompts(kept, {reason: len(long)})


def room_beside_prompts(
    engine: Reads, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], wanted: int
) -> int:
    """Return the wanted length of completions, or what the model's context leaves of it.

    That is what it leaves beside the longest prompt, but at least a quarter of it: a few prompts
    that are longer would cut all completions short.
    """
    context = context_of(engine.config)
    if context is None or not prompts:
        return wanted
    longest = max(map(len, encode_texts(tokenizer, prompts)))
    return max(1, min(wanted, max(context - longest, context // 4)))


def share_cut(lengths: Sequence[int], limit: Limit, what: str) -> str | None:
    """Return a line that says how many texts a length limit would cut; None where there is none.

    lengths: tokens of each, its end included. what: they are, in the plural.
    """
    if not lengths:
        return None
    cut = sum(length > limit.tokens for length in lengths)
    return f"{limit} would cut {cut} of {len(lengths)} {what} ({cut / len(lengths):.1%})"


def solution_lengths(tokenizer: PreTrainedTokenizerBase, solutions: Sequence[str]) -> list[int]:
    """Return how many tokens it takes to write each solution and its end."""
    if not solutions:
        return []
    every = tokenizer(list(solutions), add_special_tokens=False, return_attention_mask=False)
    return [len(ids) + 1 for ids in cast("list[list[int]]", every["input_ids"])]


def _check_tokens(
    engine: Reads,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[list[int]],
    source: str,
    skipped: int,
) -> None:
    known = engine.known_tokens
    for row, tokens in enumerate(ids, skipped + 1):
        if not tokens:
            raise InputError(f"{source} row {row}: its prompt has no tokens for this model")
        check_known(f"{source} row {row}: its prompt", tokens, known, tokenizer)


def _rows(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:NAMED]))
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"row{'s' if len(numbers) > 1 else ''} {named}{more}"
