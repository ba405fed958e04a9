"""A frozen base whose linear maps are quantised, for an adapter on it (QLoRA, arXiv 2305.14314).

bitsandbytes quantises and keeps them; embeddings, norms and the output head, which the log-prob
kernel reads, stay as they are.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from train.config.quantisation import Quantisation

LIBRARY = "bitsandbytes."  # how the names of its modules begin


def quantisation(bits: Quantisation, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return transformers' settings: NF4 with quantised scales, or int8 with a scale a row.

    dtype: of the matrix products, and of what is not quantised.
    """
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def quantised_layers(model: nn.Module) -> list[Any]:
    """Return the modules of a model that own a quantised weight."""
    return [
        module
        for module in model.modules()
        if type(module._parameters.get("weight")).__module__.startswith(LIBRARY)
    ]


def prepare(model: PreTrainedModel) -> None:
    """Let quantised layers compute as they are differentiated, whatever else is in the batch.

    On some CPUs bitsandbytes repacks weights of 4 bits at a pass without gradients, after which
    they give none. Its product of int8 rounds the inputs too, and takes columns apart by the
    largest value in the batch: a token's log-prob would depend on later ones and on other rows.
    """
    for layer in quantised_layers(model):
        layer.support_avx512bf16_for_cpu = False
        if hasattr(layer, "init_8bit_state"):
            layer.init_8bit_state()
            layer.forward = partial(_product, layer)


def count(parameters: Iterable[Tensor]) -> int:
    """Return how many numbers parameters are of: two in a byte where they have 4 bits."""
    shapes = (getattr(getattr(p, "quant_state", None), "shape", p.shape) for p in parameters)
    return sum(torch.Size(shape).numel() for shape in shapes)


def _product(layer: Any, x: Tensor) -> Tensor:
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    out = _Dequantised.apply(x.to(dtype), layer.state.CB, layer.state.SCB)
    out = out if layer.bias is None else out + layer.bias.to(dtype)
    return out.to(x.dtype)


class _Dequantised(torch.autograd.Function):
    """A product with a frozen int8 weight, of which no other copy outlasts the pass."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scale)
        return x @ _whole(weight, scale, x.dtype).T

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (weight, scale) = gradients, ctx.saved_tensors
        return gradient @ _whole(weight, scale, gradient.dtype), None, None


def _whole(weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Return an int8 weight as numbers; scale: the largest of each row, which 127 stands for."""
    return weight.to(dtype).mul_((scale / 127)[:, None])
