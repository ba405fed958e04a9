"""What all runs of a command begin from: the frozen base model, and policies made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from diagnostics.parameters import trained_parameters
from eval.context import context_of, turning_lengths
from objectives.errors import InputError
from train.config import Config
from train.config.offload import require_device
from train.config.quantisation import Quantisation
from train.devices import processes
from train.devices.choice import choose_device, forward_precision
from train.models.adapters import is_adapter
from train.models.attention import set_attention
from train.models.copies import frozen_copy, sharded
from train.models.language_model import LanguageModel, open_model, sharing_width
from train.models.load import adopted, load_model
from train.models.quantised import count

DEFAULT_CONTEXT = 4096  # where a model states none


@dataclass(frozen=True)
class Base:
    """The base model, everybody's reference, and where it computes."""

    name: str
    model: LanguageModel  # frozen; on the CPU where it is to be sharded
    tokenizer: PreTrainedTokenizerBase
    device: torch.device  # of this process
    width: int | None  # of the hidden states, where rows may share a beginning

    @property
    def context(self) -> int:
        """How many tokens it can look at."""
        config = self.model.model.config
        context, turns = context_of(config) or DEFAULT_CONTEXT, turning_lengths(config)
        # Processes that share the weights compute in step: rows cannot be told apart by length.
        return min(context, *turns) if turns and processes.sharding() else context

    @property
    def vocabulary(self) -> int:
        """How many tokens it can read and write: ids from there on have no row in its weights."""
        embedding = cast(nn.Embedding, self.model.model.get_input_embeddings())
        return min(len(embedding.weight), len(self.model.head.weight))

    def placed(self) -> LanguageModel:
        """Return the base as it computes: a sharded copy where weights are spread."""
        return sharded(self.model, self.device) if processes.sharding() else self.model

    def new_policy(
        self, config: Config, placed: LanguageModel, in_place: bool = False
    ) -> LanguageModel:
        """Return a policy to be trained that is still the base: a copy, or an adapter on it.

        placed: as `placed` returns it. in_place: it is needed no more, so that it may be trained
        itself.
        """
        if config.lora_rank is not None:
            policy = self._adapted(config)
            return sharded(policy, self.device) if processes.sharding() else policy
        policy = placed if in_place else frozen_copy(placed)
        policy.model.requires_grad_(True)
        return policy

    def trained_size(self, config: Config) -> tuple[int, int]:
        """Return how many parameters are trained, and the bytes that they take."""
        whole = self.model if config.lora_rank is None else self._adapted(config)
        trained = trained_parameters(whole.model).values()
        return sum(p.numel() for p in trained), sum(p.nbytes for p in trained)

    def describe(self, config: Config) -> str:
        """Return in words what is trained from it, and where."""
        parameters = count(self.model.model.parameters())
        adapter = ""
        if config.lora_rank is not None:
            size, _ = self.trained_size(config)
            kept = "" if config.quantise is None else f", in {config.quantise}"
            adapter = f"{kept}, frozen; trained: a LoRA adapter of {size / 1e6:.2f} million"
        return f"{self.name}: {parameters / 1e6:.2f} million parameters on {self._place()}{adapter}"

    def _place(self) -> str:
        count = processes.count()
        if count == 1:
            return str(self.device)
        how = "its weights spread over them" if processes.sharding() else "each with all of it"
        return f"{self.device.type}, {count} processes, {how}"

    def _adapted(self, config: Config) -> LanguageModel:
        from train.models.lora import adapted  # peft takes a while to import

        return adapted(self.model, config)


def open_base(
    config: Config, loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None
) -> Base:
    """Return the base that a configuration names, or the one that is loaded already.

    loaded: a model, which is left as it is, and its tokenizer. Raises InputError where there is
    none of that name, or none that can be trained here.
    """
    if loaded is None and config.lora_rank is not None and is_adapter(Path(config.model)):
        raise InputError(
            f"--lora-rank with --model {config.model}, an adapter: peft would read something else "
            f"than what is trained; merge it first (python -m train.merge --model {config.model} "
            f"--out FOLDER), and train from that folder"
        )
    device, half = choose_device(config.device, config.dtype)
    if config.activation_offload:
        require_device(device)
    # Sharded, the model is copied to the devices layer by layer.
    place = "cpu" if processes.sharding() else device
    # Frozen weights are computed with in bfloat16 anyway; trained ones must keep small updates.
    dtype = torch.bfloat16 if half and config.lora_rank else torch.float32
    if config.quantise is not None:
        _check_quantised(config.quantise, loaded is not None)
    if loaded is None:
        model, tokenizer = load_model(
            config.model, device=place, dtype=dtype, quantise=config.quantise
        )
    else:
        model, tokenizer = adopted(*loaded, device=place, dtype=dtype)
    if config.attention is not None:
        set_attention(model, config.attention)
    base = open_model(model.requires_grad_(False), forward_precision(device, half))
    width = sharing_width(base) if config.share_prefixes == "auto" else None
    return Base(config.model, base, tokenizer, torch.device(device), width)


def _check_quantised(bits: Quantisation, loaded: bool) -> None:
    if loaded:
        raise InputError(
            f"--quantise {bits}: not of a loaded model, which stays as it is: name its folder"
        )
    if processes.sharding():
        raise InputError(
            f"--quantise {bits}: not with weights that processes share (FSDP2): launch without "
            f"--use_fsdp, each process with a copy"
        )
