"""Products of the output head: in float32, or of bfloat16 operands where a processor has them.

Products of bfloat16 operands are summed in float32. A GPU also gives them in float32; a CPU rounds
them to bfloat16, which is enough for gradients and not for logits.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

HALF = torch.bfloat16


@contextmanager
def in_float32(hidden: Tensor, tf32: bool) -> Iterator[None]:
    """Compute float32 products as float32, whatever surrounds; tf32: on CUDA in TF32.

    Products of bfloat16 operands are summed in float32 there, too.
    """
    onednn: Any = torch.backends.mkldnn
    cuda, cpu = torch.backends.cuda.matmul, onednn.matmul
    before = cuda.fp32_precision, cpu.fp32_precision
    cuda.fp32_precision, cpu.fp32_precision = "tf32" if tf32 else "ieee", "ieee"
    in_parts = cuda.allow_bf16_reduced_precision_reduction
    cuda.allow_bf16_reduced_precision_reduction = False  # sums of parts of a product, in bfloat16
    try:
        kind = hidden.device.type
        casts = torch.amp.is_autocast_available(kind)  # not on meta
        with torch.autocast(kind, enabled=False) if casts else nullcontext():
            yield
    finally:
        cuda.fp32_precision, cpu.fp32_precision = before
        cuda.allow_bf16_reduced_precision_reduction = in_parts


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 itself; `meta` is as a GPU."""
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported()
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def gives_float32(device: torch.device) -> bool:
    """Return whether a device gives products of bfloat16 operands in float32."""
    return device.type != "cpu" and has_bfloat16(device)


def as_they_are(hidden: Tensor, weight: Tensor) -> bool:
    """Return whether logits are made of bfloat16 operands as they are: nothing is lost so."""
    return hidden.dtype == weight.dtype == HALF and gives_float32(hidden.device)


def half_backward(hidden: Tensor, weight: Tensor, half: bool) -> bool:
    """Return whether products of the backward pass have bfloat16 operands.

    half: the model computes in bfloat16, whatever its hidden states and weight are kept in.
    """
    half = hidden.dtype != torch.float64 if half else hidden.dtype == weight.dtype == HALF
    return half and has_bfloat16(hidden.device)


def linear(
    hidden: Tensor, weight: Tensor, bias: Tensor | None = None, half: bool = False
) -> Tensor:
    """Return `hidden @ weight.T + bias` in float32, or float64 for float64 hidden states, (N, V).

    hidden: (N, d). weight: (V, d). bias: (V,). half: as `half_backward` has it.
    """
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    bias = None if bias is None else bias.to(dtype)
    if half_backward(hidden, weight, half):
        logits = _Linear.apply(hidden, weight)
        return logits if bias is None else logits + bias
    return torch.nn.functional.linear(hidden.to(dtype), weight.to(dtype), bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(hidden, weight):
        if as_they_are(hidden, weight):
            return torch.mm(hidden, weight.T, out_dtype=torch.float32)
        return torch.nn.functional.linear(hidden.float(), weight.float())

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, *gradients):
        hidden, weight = ctx.saved_tensors
        to_logits = gradients[0].to(HALF)
        to_hidden = to_weight = None
        if ctx.needs_input_grad[0]:
            to_hidden = (to_logits @ weight.to(HALF)).to(hidden.dtype)
        if ctx.needs_input_grad[1]:
            to_weight = add_product(None, to_logits.T, hidden.to(HALF)).to(weight.dtype)
        return to_hidden, to_weight


def add_product(total: Tensor | None, one: Tensor, other: Tensor) -> Tensor:
    """Return `total + one @ other`, (n, d), made in `total`, where that is given; None is 0.

    Of bfloat16 operands it is float32, with each product rounded to bfloat16 on a CPU.
    """
    if one.dtype != HALF:
        total = one.new_zeros(len(one), other.shape[1]) if total is None else total
        return total.addmm_(one, other)
    if gives_float32(one.device):
        if total is None:
            return torch.mm(one, other, out_dtype=torch.float32)
        return torch.addmm(total, one, other, out_dtype=torch.float32, out=total)
    product = one @ other
    return product.float() if total is None else total.add_(product)
