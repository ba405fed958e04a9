"""How many tokens a model can look at, and which ones."""

from collections.abc import Sequence
from typing import Protocol, cast

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError

LENGTHS = ("max_position_embeddings", "max_seq_len", "max_target_positions")  # most; MPT; Whisper


class Reads(Protocol):
    """Whoever reads prompts, as an engine does."""

    @property
    def config(self) -> PreTrainedConfig:
        """The model's configuration."""
        ...

    @property
    def known_tokens(self) -> int:
        """How many tokens it has embeddings of."""
        ...


def context_of(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a model of this configuration can look at; None where any number."""
    text = config.get_text_config(decoder=True)
    known = (getattr(text, name, None) for name in LENGTHS)
    return next((length for length in known if isinstance(length, int) and length > 0), None)


def turning_lengths(config: PreTrainedConfig) -> tuple[int, ...]:
    """Return the lengths, shortest first, beyond which a row's rotary frequencies are others.

    With LongRoPE (arXiv 2402.13753) all tokens of a longer row have others, and so do, in a batch,
    all rows; in PhiMoE they are scaled otherwise too. Empty where nothing depends on the length.
    """
    lengths = {
        kind.get("original_max_position_embeddings")
        for kind in _rotations(config)
        if kind.get("rope_type") == "longrope" or "long_mscale" in kind
    }
    return tuple(sorted(filter(None, lengths)))


def stretches(config: PreTrainedConfig) -> bool:
    """Say whether frequencies change with each token beyond the context (dynamic NTK scaling).

    What was kept of earlier tokens is wrong then, and so are all rows of a batch: such rows are
    neither trained nor sampled.
    """
    return any("dynamic" in str(kind.get("rope_type")) for kind in _rotations(config))


def _rotations(config: PreTrainedConfig) -> list[dict]:
    """Return the settings of rotary embeddings, of which each kind of layers may have its own."""
    parameters = getattr(config.get_text_config(decoder=True), "rope_parameters", None) or {}
    return [parameters, *(value for value in parameters.values() if isinstance(value, dict))]


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
