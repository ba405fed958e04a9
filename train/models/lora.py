"""LoRA through peft: a policy that is the base model with an adapter, the adapter alone trained.

The policy has modules of its own around the base's own tensors. The base stays what it was and is
the reference, at no memory; anchors and policies of some steps ago are adapters more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from diagnostics.parameters import trained_parameters
from objectives.errors import InputError
from train.config.settings import Config
from train.models.adapters import ADAPTER_CONFIG
from train.models.copies import copy_around
from train.models.kinds import first_of
from train.models.language_model import LanguageModel, open_model

ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # of names in peft's files
ALL_LINEAR = "all-linear"  # peft's word for every linear layer but the head
ALPHA_PER_RANK = 2


def adapted(base: LanguageModel, config: Config) -> LanguageModel:
    """Return a policy at the base: a fresh adapter on it, of LoRA (arXiv 2106.09685).

    A layer W gives `W x + (alpha / rank) B A x`, with B = 0 and A drawn by the run's seed, both in
    float32. Raises InputError where the targets are no linear layers of the model, and ValueError
    where the configuration has no rank.
    """
    rank = config.lora_rank
    if rank is None:
        raise ValueError("an adapter needs a lora_rank")
    alpha = config.lora_alpha or ALPHA_PER_RANK * rank
    settings = LoraConfig(
        r=rank,
        lora_alpha=cast(int, alpha),  # declared as an int, and a factor like any other
        target_modules=_targets(base.model, config.lora_targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):  # A is drawn on the CPU, whatever the device
        torch.manual_seed(config.seed)
        model = _with_adapter(base.model, settings)
    settings = _settings(model)
    # As it was given, so that whoever reads the checkpoint finds the same base by the same name.
    settings.base_model_name_or_path = config.model
    settings.target_modules = sorted(settings.target_modules or ())
    return open_model(model, base.precision)


def write_adapter(
    model: PreTrainedModel, folder: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write a policy's adapter in peft's layout, which names the base model.

    weights: its parameters by name, where the model's own are sharded.
    """
    named = _state(model, weights).items()
    state = {f"{PREFIX}{name}": value.contiguous() for name, value in named}
    save_file(state, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    _settings(model).save_pretrained(str(folder))


def load_adapter(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Return the base with a checkpoint's adapter, which takes no gradients.

    Raises InputError where the adapter cannot be read, or is of another model.
    """
    try:
        settings = LoraConfig.from_pretrained(str(folder))
        model = _with_adapter(base, settings)
        found = load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, ValueError, TypeError, RecursionError, SafetensorError) as error:
        raise InputError(f"{folder}: the adapter cannot be read ({_first_line(error)})") from None
    found = {name.removeprefix(PREFIX): value for name, value in found.items()}
    ours, theirs = (
        {name: value.shape for name, value in state.items()} for state in (_state(model), found)
    )
    if ours != theirs:
        differ = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        raise InputError(
            f"{folder} is not an adapter of {type(base).__name__} with this shape: they differ in "
            f"{differ[0]} and {len(differ) - 1} more parameters"
        )
    set_peft_model_state_dict(model, found)
    return model.requires_grad_(False)


def merged(base: PreTrainedModel, folder: str) -> PreTrainedModel:
    """Return the base with a folder's adapter added to its weights, which it changes in place.

    Takes any adapter of peft's that can be merged. Raises InputError for others, for one that is
    not in safetensors, for one of another model, and where weights are missing or too many.
    """
    if not (Path(folder) / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"--model {folder}: it has no {ADAPTER_WEIGHTS} (pickles are not read)")
    try:
        model = PeftModel.from_pretrained(base, folder)
        # Again: only so does peft say which weights it did not find, or had no place for.
        found = model.load_adapter(folder, str(model.active_adapter))
        _check_complete(folder, found.missing_keys, found.unexpected_keys)
        return model.merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError,
            RecursionError, SafetensorError) as error:  # fmt: skip
        raise InputError(
            f"--model {folder}: its adapter cannot be merged into its base model "
            f"({_first_line(error)})"
        ) from None


def _check_complete(folder: str, missing: list[str], surplus: list[str]) -> None:
    if missing or surplus:
        lack = f"lacks {first_of(missing)}" if missing else ""
        has = f"has {first_of(surplus)}, for which there is no place" if surplus else ""
        raise InputError(
            f"--model {folder}: its {ADAPTER_WEIGHTS} {'; it '.join(filter(None, (lack, has)))}: "
            f"it is not, or not all, of an adapter of its base model with its {ADAPTER_CONFIG}"
        )


def _settings(model: PreTrainedModel) -> LoraConfig:
    (settings,) = model.peft_config.values()
    return cast(LoraConfig, settings)  # declared as what all of peft's kinds of adapter have


def _with_adapter(base: PreTrainedModel, settings: PeftConfig) -> PreTrainedModel:
    model = copy_around(base, base.parameters())
    inject_adapter_in_model(settings, model)
    for parameter in trained_parameters(model).values():
        parameter.data = parameter.data.float()  # where the base's weights are bfloat16
    return model


def _state(model: PreTrainedModel, weights: Mapping | None = None) -> dict[str, Tensor]:
    # Otherwise peft asks the hub whether the vocabulary has grown, though it is frozen.
    return get_peft_model_state_dict(model, state_dict=weights, save_embedding_layers=False)


def _targets(model: PreTrainedModel, names: str | None) -> str | list[str]:
    """Return peft's targets. Raises InputError where a name is of no linear layer, or the head."""
    if names is None:
        return ALL_LINEAR
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not model.get_output_embeddings()
    ]
    targets = [name.strip() for name in names.split(",")]
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            known = ", ".join(dict.fromkeys(name.rsplit(".", 1)[-1] for name in linear))
            raise InputError(
                f"--lora-targets {names}: {target!r} is no linear layer of "
                f"{type(model).__name__} (the head is not trained): it has {known}"
            )
    return targets


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
