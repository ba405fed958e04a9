"""What transformers reads of a model: settings, tokenizer, weights, and no code that is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from objectives.errors import InputError
from train.config.quantisation import Quantisation
from train.models.kinds import check_complete

NO_CODE = {"trust_remote_code": False}  # else transformers asks for a `y` on standard input
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read_config(name: str, source: str, **options) -> PreTrainedConfig:
    """Return a model's settings.

    name: of the model, for messages. source, options: as `load.locate` returns them.
    Raises InputError where they cannot be had, or are of code that comes with the model.
    """
    with _reading(name):
        config = AutoConfig.from_pretrained(source, **NO_CODE, **options)
    attention = getattr(config, "_attn_implementation", None)
    if isinstance(attention, str) and "/" in attention:
        raise InputError(
            f"--model {name}: its config.json asks for attention of code from the hub "
            f"({attention}), which is not run: take attn_implementation out of it"
        )
    return config


def read_tokenizer(name: str, source: str, **options) -> PreTrainedTokenizerBase:
    """Return a model's tokenizer, as `read_config` reads the settings."""
    with _reading(name):
        return AutoTokenizer.from_pretrained(source, **NO_CODE, **options)


def read_weights(name: str, source: str, dtype: torch.dtype, **options) -> PreTrainedModel:
    """Return a causal model with its weights, from safetensors or GGUF, as `read_config` reads.

    Raises InputError also where weights are missing, too many, or of other shapes.
    """
    if "gguf_file" not in options:
        _refuse_pickles(name, Path(source))
        options["use_safetensors"] = True
    with _reading(name):
        model, found = cast(
            "tuple[PreTrainedModel, dict]",
            AutoModelForCausalLM.from_pretrained(
                source,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                **NO_CODE,
                **options,
            ),
        )
        if "gguf_file" in options:
            from train.models.gguf_names import left_out, misshapen

            found["unexpected_keys"] |= left_out(Path(source) / options["gguf_file"], model)
            found["mismatched_keys"] |= misshapen(model)
    check_complete(name, model, found)
    return model


def read_quantised(
    name: str, source: str, dtype: torch.dtype, device: str, bits: Quantisation
) -> PreTrainedModel:
    """Return a causal model as `read_weights` does, on a device, its linear maps in so many bits.

    Raises InputError also for a model without such maps.
    """
    from train.models.quantised import prepare, quantisation, quantised_layers

    place = torch.cuda.current_device() if device == "cuda" else device  # of this process
    how = {"quantization_config": quantisation(bits, dtype), "device_map": {"": place}}
    model = read_weights(name, source, dtype, **how)
    if not quantised_layers(model):
        raise InputError(f"--quantise {bits}: --model {name} has no linear maps to quantise")
    prepare(model)
    return model


def _refuse_pickles(name: str, folder: Path) -> None:
    if not folder.is_dir() or any(folder.glob("*.safetensors*")):
        return
    pickles = sorted(path.name for ending in PICKLES for path in folder.glob(ending))
    if pickles:
        raise InputError(
            f"--model {name}: its weights are pickles ({pickles[0]}), which are not read, since "
            f"they may run code: convert them to safetensors"
        )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Make one line of whatever fails; a folder may hold anything."""
    try:
        yield
    except Exception as error:
        text = str(error).strip()
        if "trust_remote_code" in text:
            raise InputError(
                f"--model {name}: it needs Python code that comes with it (auto_map), which is "
                f"never run here: name a model whose architecture transformers "
                f"{transformers.__version__} has itself, or take a newer transformers"
            ) from None
        reason = text.splitlines() or [type(error).__name__]
        raise InputError(
            f"--model {name}: not a causal model that can be loaded from here or the hub "
            f"({reason[0]:.160})"
        ) from None
