"""How a turn ends in a chat template, and which tokens generation therefore stops at."""

from typing import NamedTuple, Protocol

from transformers import GenerationConfig, PreTrainedTokenizerBase

from eval.prompts import render_messages
from objectives.errors import InputError

PROBE = "zqProbezq"  # an answer that no template looks into


class HasSettings(Protocol):
    """A model, or an engine."""

    @property
    def generation_config(self) -> GenerationConfig | None:
        """The model's own settings of generation."""
        ...


class TurnEnd(NamedTuple):
    """What a template writes after the assistant's words."""

    text: str  # as far as the token that ends the turn, which is learnt; nothing: it writes none
    after: str  # the rest, which nobody has to say
    token: int | None  # the token that ends the turn


def turn_end(tokenizer: PreTrainedTokenizerBase) -> TurnEnd | None:
    """Return how the assistant's turns end; None without a template, or one that fails here."""
    if not tokenizer.chat_template:
        return None
    question = {"role": "user", "content": "1"}
    try:
        whole = render_messages(tokenizer, [question, {"role": "assistant", "content": PROBE}])
    except InputError:
        return None
    _, found, tail = whole.rpartition(PROBE)
    if not found:
        return None
    marker = first_marker(tail, markers(tokenizer))
    if marker is None:
        return TurnEnd("", tail, None)
    length = tail.index(marker) + len(marker)
    token = tokenizer.convert_tokens_to_ids(marker)
    return TurnEnd(tail[:length], tail[length:], token if isinstance(token, int) else None)


def markers(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the tokens that are never made of text: special ones, then others that were added."""
    added = tokenizer.added_tokens_decoder.values()
    others = [token.content for token in added if not token.special]
    special = [token.content for token in added if token.special]
    # What fills up may be any token, where the tokenizer has none of its own for it.
    ends = tokenizer.eos_token, tokenizer.bos_token
    fill = None if tokenizer.pad_token in ends else tokenizer.pad_token
    named = [name for name in tokenizer.all_special_tokens if name != fill]
    names = dict.fromkeys([*named, *special, *others])
    return [name for name in names if name.strip()]


def first_marker(text: str, among: list[str]) -> str | None:
    """Return the marker that comes first in a text, the longest of those that begin there."""
    found = [(text.index(name), -len(name), name) for name in among if name in text]
    return min(found)[2] if found else None


def stop_ids(model: HasSettings, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that end a completion.

    Those of the model's generation settings, the tokenizer's end of sequence, and what ends a turn
    in its chat template.
    """
    settings = getattr(model, "generation_config", None)
    ids = getattr(settings, "eos_token_id", None)
    ids = ids if isinstance(ids, list) else [ids]
    end = turn_end(tokenizer)
    ids = [*ids, tokenizer.eos_token_id, end and end.token]
    return sorted({token for token in ids if token is not None})
