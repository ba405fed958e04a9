"""A Hugging Face causal model as the kernel wants it: final hidden states and an output head."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from eval.context import context_of, stretches, turning_lengths
from eval.rounding import distance, same_but_for_rounding
from objectives import Head, token_log_probs
from objectives.causal_lm import backbone_of, output_head
from objectives.errors import InputError
from train.data.input_rows import InputRows, collate, spread
from train.data.tokens import Tokens
from train.devices.choice import PLAIN, Precision
from train.devices.sharding import layers_of

COMPILER = "inductor"


@dataclass(frozen=True)
class LanguageModel:
    """A causal model and its parts: the backbone gives hidden states, the head logits."""

    model: PreTrainedModel
    backbone: Callable
    precision: Precision = PLAIN
    source: "LanguageModel | None" = None  # the whole model that a sharded one began as

    @property
    def head(self) -> Head:
        """The output head as it is now; that of a sharded model, after its backbone computed."""
        return _head(self.model)._replace(half=self.precision.dtype is not None)

    @property
    def states_dtype(self) -> torch.dtype:
        """The dtype of its hidden states."""
        return self.precision.dtype or self.head.weight.dtype

    def hidden(self, rows: InputRows) -> Tensor:
        """Return the final hidden states that predict the trained tokens, (N, d)."""
        turns, width = turning_lengths(self.model.config), rows.input_ids.shape[1]
        self._check_width(width)
        with self.precision.context():
            if turns and width > turns[0]:
                return self._hidden_by_length(rows, turns)
            output = self.backbone(**rows.inputs(), use_cache=False)
        return output.last_hidden_state[rows.row, rows.position]

    def _hidden_by_length(self, rows: InputRows, turns: Sequence[int]) -> Tensor:
        """Return the states as `hidden` does, rows apart by how many of `turns` they are beyond.

        Rotary frequencies are those of the longest row of a batch.
        """
        lengths = rows.attention_mask.sum(-1)
        beyond = torch.bucketize(lengths, torch.tensor(turns, device=lengths.device))
        order, states = [], []
        for kind in beyond.unique():
            part = beyond == kind
            chosen = part[rows.row].nonzero()[:, 0]
            if len(chosen):
                width = int(lengths[part].max())
                output = self.backbone(input_ids=rows.input_ids[part, :width], use_cache=False)
                place = part.cumsum(0) - 1  # of a row in its part
                order.append(chosen)
                states.append(
                    output.last_hidden_state[place[rows.row[chosen]], rows.position[chosen]]
                )
        return torch.cat(states)[torch.cat(order).argsort()]

    def _check_width(self, width: int) -> None:
        config = self.model.config
        context = context_of(config)
        if context is not None and width > context and stretches(config):
            raise InputError(
                f"rows of {width} tokens: {type(self.model).__name__} stretches its rotary "
                f"frequencies beyond {context} (dynamic NTK), for all rows of a batch: leave "
                f"longer rows out (--max-tokens)"
            )

    @torch.no_grad()
    def log_probs(self, rows: InputRows) -> Tensor:
        """Return the log-probs of the trained tokens, (B, T), without gradients."""
        return spread(token_log_probs(self.hidden(rows), self.head, rows.targets).policy, rows)


def open_model(model: PreTrainedModel, precision: Precision = PLAIN) -> LanguageModel:
    """Return a model's parts, after checking that the head reproduces the model's own logits.

    precision: of its forward passes. Raises InputError for a model whose logits are made in a way
    that the kernel does not know.
    """
    language_model = LanguageModel(model, backbone_of(model), precision)
    _check_head(language_model)
    return language_model


def _head(model: PreTrainedModel) -> Head:
    try:
        return output_head(model)
    except ValueError as error:
        raise InputError(str(error)) from None


@torch.no_grad()
def _check_head(language_model: LanguageModel) -> None:
    model, backbone, head = language_model.model, language_model.backbone, language_model.head
    ids = (torch.arange(12, device=model.device) * 37 % head.weight.shape[0])[None]
    # Of one shape, so that all are rounded alike; tokens after the first 8 must not be seen there.
    others = torch.cat([ids[:, :8], ids[:, :4]], 1)
    try:
        theirs = model(input_ids=ids, use_cache=False).logits[0]
        ours, again = (
            head.logits(backbone(input_ids=rows, use_cache=False).last_hidden_state[0])
            for rows in (ids, others)
        )
        difference = (ours - theirs.to(ours.dtype)).abs().max()
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"{type(model).__name__} is no backbone with a linear head on its last hidden states, "
            f"which is what can be trained here ({reason})"
        ) from None
    tolerance = max(1e-3, 2 * torch.finfo(theirs.dtype).eps)
    if not difference <= tolerance * theirs.abs().max().clamp(min=1):
        raise InputError(
            f"{type(model).__name__} makes its logits in a way this project does not know (they "
            f"differ by {difference:.3g}): it would be trained on wrong log-probs"
        )
    if not same_but_for_rounding(again[:8], ours[:8], theirs.dtype):
        raise InputError(
            f"{type(model).__name__} makes its logits from tokens that come later (they differ by "
            f"{distance(again[:8], ours[:8]):.3g} of their spread): it would be trained on wrong "
            f"log-probs"
        )


@torch.no_grad()
def sharing_width(language_model: LanguageModel) -> int | None:
    """Return the width of the hidden states where rows can share a beginning, None where not.

    All layers must look at every earlier token, and take a mask and the tokens' places from us,
    which is tried.
    """
    config = language_model.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or [])
    if turning_lengths(config) or stretches(config):
        return None
    if kinds - {"full_attention"} or (not kinds and getattr(config, "sliding_window", None)):
        return None
    language_model = replace(language_model, precision=PLAIN)
    device, width = language_model.model.device, config.hidden_size
    ids = (torch.arange(16) * 37 % config.vocab_size).tolist()
    tokens = [Tokens(ids[:8], ids[8:12]), Tokens(ids[:8], ids[12:])]
    apart = language_model.hidden(collate(tokens).to(device))
    try:
        together = language_model.hidden(collate(tokens, width=width).to(device))
    except Exception:  # whatever a model does with inputs that it does not take
        return None
    return width if same_but_for_rounding(together, apart, apart.dtype) else None


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

    backbone_of(model).register_forward_pre_hook(only_with_gradients)
