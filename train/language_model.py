"""A Hugging Face causal model as the kernel wants it: final hidden states and an output head."""

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from transformers import PreTrainedModel

from diagnostics.parameters import trained_parameters
from objectives import Head, token_log_probs
from objectives.errors import InputError
from train.rows import InputRows, collate
from train.sharding import forget_whole, layers_of, own_part, shard, spread_like
from train.tokens import Tokens

COMPILER = "inductor"


@dataclass(frozen=True)
class LanguageModel:
    """A causal model and its parts: the backbone gives hidden states, the head logits."""

    model: PreTrainedModel
    backbone: Callable
    source: "LanguageModel | None" = None  # the whole model that a sharded one began as

    @property
    def head(self) -> Head:
        """The output head as it is now; that of a sharded model, after its backbone computed."""
        return _head(self.model)

    def hidden(self, rows: InputRows) -> Tensor:
        """Return the final hidden states that predict the completions' tokens, (N, d)."""
        output = self.backbone(**rows.inputs(), use_cache=False)
        return output.last_hidden_state[rows.row, rows.position]

    @torch.no_grad()
    def log_probs(self, rows: InputRows) -> Tensor:
        """Return the log-probs of the completions' tokens, (B, T), without gradients."""
        return spread(token_log_probs(self.hidden(rows), self.head, rows.targets).policy, rows)


def spread(values: Tensor, rows: InputRows) -> Tensor:
    """Lay out one value per completion token as (B, T), with 0 where the mask is False."""
    return torch.zeros_like(rows.mask, dtype=values.dtype).masked_scatter(rows.mask, values)


def open_model(model: PreTrainedModel) -> LanguageModel:
    """Return a model's parts, after checking that the head reproduces the model's own logits.

    Raises InputError for a model whose logits are made in a way that the kernel does not know.
    """
    language_model = LanguageModel(model, model.base_model)
    _check_head(language_model)
    return language_model


def sharded(whole: LanguageModel, device: torch.device) -> LanguageModel:
    """Return a copy of a model whose weights are spread over the run's processes."""
    model = copy_around(whole.model, whole.model.parameters())
    shard(model, device)
    return LanguageModel(model, model.trunk, whole)


def _head(model: PreTrainedModel) -> Head:
    layer = model.get_output_embeddings()
    if layer is None or getattr(layer, "weight", None) is None:
        raise InputError(f"{type(model).__name__} has no linear output head to train through")
    config = model.config.get_text_config()
    scale = 1.0
    if getattr(config, "logit_scale", None):  # Cohere
        scale *= config.logit_scale
    if getattr(config, "logits_scaling", None):  # Granite
        scale /= config.logits_scaling
    if getattr(config, "dim_model_base", None):  # MiniCPM
        scale *= config.dim_model_base / config.hidden_size
    softcap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    return Head(layer.weight, getattr(layer, "bias", None), scale, softcap)


@torch.no_grad()
def _check_head(language_model: LanguageModel) -> None:
    model, backbone, head = language_model.model, language_model.backbone, language_model.head
    vocabulary = head.weight.shape[0]
    ids = rearrange(torch.arange(12, device=model.device) * 37 % vocabulary, "n -> 1 n")
    # Tokens after those compared: what is padding in a batch must not be seen.
    hidden = backbone(input_ids=ids, use_cache=False).last_hidden_state[:, :8]
    ours, theirs = head.logits(hidden[0]), model(input_ids=ids[:, :8], use_cache=False).logits[0]
    difference = (ours - theirs.to(ours.dtype)).abs().max()
    tolerance = max(1e-3, 2 * torch.finfo(theirs.dtype).eps)
    if not difference <= tolerance * theirs.abs().max().clamp(min=1):
        raise InputError(
            f"{type(model).__name__} makes its logits in a way this project does not know, or "
            f"from tokens that come later (they differ by {difference:.3g}): it would be trained "
            f"on wrong log-probs"
        )


@torch.no_grad()
def sharing_width(language_model: LanguageModel) -> int | None:
    """Return the width of the hidden states where rows can share a beginning, None where not.

    All layers must look at every earlier token, and take a mask and the tokens' places from us,
    which is tried.
    """
    config = language_model.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or [])
    if kinds - {"full_attention"} or (not kinds and getattr(config, "sliding_window", None)):
        return None
    device, width = language_model.model.device, config.hidden_size
    ids = (torch.arange(16) * 37 % config.vocab_size).tolist()
    tokens = [Tokens(ids[:8], ids[8:12]), Tokens(ids[:8], ids[12:])]
    apart = language_model.hidden(collate(tokens, 0).to(device))
    try:
        together = language_model.hidden(collate(tokens, 0, width).to(device))
    except (TypeError, ValueError, RuntimeError):  # of a model that takes no such inputs
        return None
    tolerance = max(1e-4, 2 * torch.finfo(apart.dtype).eps) * apart.abs().max()
    return width if (together - apart).abs().max() <= tolerance else None


def frozen_copy(language_model: LanguageModel) -> LanguageModel:
    """Return a copy whose parameters take no gradients, to serve as reference or anchor.

    Of a model with an adapter the adapter is copied; what it was put into is the same tensors,
    unless they are sharded.
    """
    if language_model.source is not None:
        twin = sharded(language_model.source, language_model.model.device)
        copy_parameters(language_model.model, twin.model)
        twin.model.requires_grad_(False)
        return twin
    every, trained = language_model.model, trained_parameters(language_model.model)
    own = set(map(id, trained.values()))
    model = copy_around(every, [p for p in every.parameters() if id(p) not in own])
    model.requires_grad_(False)
    return LanguageModel(model, model.base_model)


def copy_around(model: PreTrainedModel, shared: Iterable[Tensor]) -> PreTrainedModel:
    """Return a copy of a model's modules around some of its own tensors, which are not copied."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def compile_layers(language_model: LanguageModel) -> None:
    """Have a model's layers compiled at its first batch, for batches of any shape.

    Layers are alike, so that what is compiled for one serves all. Raises InputError where there
    are none that are known.
    """
    layers = layers_of(language_model.model)
    if not layers:
        raise InputError(f"--compile: no layers known in {type(language_model.model).__name__}")
    for layer in layers:
        layer.compile(dynamic=True, backend=COMPILER)


def uncompiled() -> AbstractContextManager:
    """Return a context in which models compute as written: for what compiling would not pay."""
    return torch.compiler.set_stance("force_eager")


def recompute_layers(language_model: LanguageModel) -> None:
    """Make a model forget what its layers compute, and compute it again in the backward pass.

    Gradient checkpointing (arXiv 1604.06174): memory of one layer's activations and of each layer's
    input. Raises InputError for a model that does not support it.
    """
    model = language_model.model
    if not model.supports_gradient_checkpointing:
        raise InputError(f"--gradient-checkpointing: {type(model).__name__} does not support it")
    # Until transformers 6 it may be known by its older name alone.
    enable = getattr(model, "activation_checkpointing_enable", None)
    enable = enable or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    layers = layers_of(model)

    def only_with_gradients(*_) -> None:
        # The layers look at their own mode; what is in them (dropout) stays in evaluation mode.
        for layer in layers:
            layer.training = torch.is_grad_enabled()

    model.base_model.register_forward_pre_hook(only_with_gradients)


class Anchors:
    """The policies at which the last two outer steps of mirror descent began.

    Both are the reference until the first outer step ends. With a period of 0 they stay it: then
    the anchor is the policy that sampled the data. In memory are up to two copies of what is
    trained: with an adapter, of the adapter.
    """

    def __init__(self, reference: LanguageModel, policy: LanguageModel, period: int):
        self.reference, self.policy, self.period = reference, policy, period
        self.anchor = self.previous = reference

    def advance(self, step: int) -> None:
        """Begin a new outer step where `step`, the updates made so far, is a multiple of it."""
        if not self.period or not step or step % self.period:
            return
        spare = self.previous
        self.previous = self.anchor
        if spare is self.reference:
            self.anchor = frozen_copy(self.policy)
        else:
            self.anchor = spare
            copy_parameters(self.policy.model, self.anchor.model)

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return the anchors as tensors, and which of them are the reference as values."""
        named = {"anchor": self.anchor, "previous": self.previous}
        own = {name: model for name, model in named.items() if model is not self.reference}
        return parameters_of(own), {"own": list(own)}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned."""
        for name in ("anchor", "previous"):
            model = self.reference
            if name in values["own"]:
                model = frozen_copy(self.policy)
                load_parameters(model, name, tensors)
            setattr(self, name, model)


def parameters_of(models: Mapping[str, LanguageModel]) -> dict[str, Tensor]:
    """Return what is trained of several models, by the model's name and the parameter's.

    Of sharded models, this process's part.
    """
    for model in models.values():
        forget_whole(model.model)
    return {
        f"{name}.{parameter}": own_part(value.detach()).clone()
        for name, model in models.items()
        for parameter, value in trained_parameters(model.model).items()
    }


@torch.no_grad()
def load_parameters(model: LanguageModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Write into a model what `parameters_of` returned under a name."""
    forget_whole(model.model)
    for parameter, value in trained_parameters(model.model).items():
        own_part(value).copy_(tensors[f"{name}.{parameter}"])


@torch.no_grad()
def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Write what is trained of one model into another of the same shape, which may be sharded."""
    for model in (source, target):
        forget_whole(model)
    theirs = trained_parameters(source)
    for name, value in trained_parameters(target).items():
        own_part(value).copy_(own_part(spread_like(theirs[name], value)))
