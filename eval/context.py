"""How many tokens a model can look at, and which ones."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError

LENGTHS = ("max_position_embeddings", "max_seq_len", "max_target_positions")  # most; MPT; Whisper


def context_of(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a model of this configuration can look at; None where any number."""
    text = config.get_text_config(decoder=True)
    known = (getattr(text, name, None) for name in LENGTHS)
    return next((length for length in known if isinstance(length, int) and length > 0), None)


def turning_length(config: PreTrainedConfig) -> int | None:
    """Return up to how many tokens a row's rotary frequencies are those of short rows.

    With LongRoPE (arXiv 2402.13753) all tokens of a longer row have others, and so do, in a batch,
    all rows. None where frequencies do not depend on the length.
    """
    parameters = getattr(config.get_text_config(decoder=True), "rope_parameters", None) or {}
    kinds = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    lengths = [
        kind.get("original_max_position_embeddings")
        for kind in kinds
        if kind.get("rope_type") == "longrope"
    ]
    return min(filter(None, lengths), default=None)


def known_tokens(model: PreTrainedModel) -> int:
    """Return how many tokens a model has embeddings of; ids from there on it cannot read."""
    return cast("Tensor", model.get_input_embeddings().weight).shape[0]


def check_known(
    where: str, ids: Sequence[int], known: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Raise InputError, naming `where`, for a token id that the model has no embedding of.

    known: how many tokens it has embeddings of.
    """
    highest = max(ids, default=0)
    if highest >= known:
        size = max(len(tokenizer), highest + 1)
        raise InputError(
            f"{where} has the token {tokenizer.convert_ids_to_tokens(highest)!r} (id {highest}), "
            f"and the model has embeddings of {known} tokens: the tokenizer is of another model, "
            f"or resize_token_embeddings({size}) is to be done before the model is saved"
        )
