"""A model written in Hugging Face layout, with settings of generation that transformers writes."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from diagnostics.parameters import has_adapter


def write_model(
    model: PreTrainedModel, folder: Path, weights: dict[str, Tensor] | None = None
) -> None:
    """Write a model in Hugging Face layout; of one with an adapter the adapter, in peft's.

    weights: what to write, where the model's own are sharded.
    """
    if has_adapter(model):
        from train.models.lora import write_adapter

        write_adapter(model, folder, weights)
        return
    with _writable_settings(model):
        model.save_pretrained(folder, state_dict=weights)


@contextmanager
def _writable_settings(model: PreTrainedModel) -> Iterator[None]:
    """Have settings of generation that transformers does not refuse to write.

    It does where a temperature stands beside greedy search, which is then written as sampling; of
    what it refuses otherwise the tokens that begin, end and fill up are kept.
    """
    own = model.generation_config
    if own is None or _is_valid(own):
        yield
        return
    sampling = copy.deepcopy(own)
    sampling.do_sample = True
    tokens = ("bos_token_id", "eos_token_id", "pad_token_id")
    plain = GenerationConfig(**{name: getattr(own, name) for name in tokens})
    model.generation_config = sampling if _is_valid(sampling) else plain
    try:
        yield
    finally:
        model.generation_config = own


def _is_valid(settings: GenerationConfig) -> bool:
    try:
        settings.validate(strict=True)
    except ValueError:
        return False
    return True
