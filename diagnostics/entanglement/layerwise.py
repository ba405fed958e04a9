"""Per-trajectory gradients from one batched pass: each layer's inputs times its output gradients.

What a linear layer's weight gets from one trajectory is `Σ_t g_t a_tᵀ`, a_t the layer's inputs and
g_t the gradients at its outputs, both of which a batched pass has for all trajectories at once
(Goodfellow, arXiv 1510.01799). Nothing is recomputed, attention runs its fused kernel, and
parameters come one after the other, so that no trajectory's whole gradient is ever in memory.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from diagnostics.entanglement.gradients import Gradients, check_weights
from diagnostics.trajectories import Trajectories, completion_log_probs


class _Call(NamedTuple):
    """One call of a module in the forward pass: B rows, P weightings."""

    module: nn.Module
    input: Tensor  # (B, ...)
    output: Tensor  # (B, ...)
    cotangents: tuple[Tensor, ...] = ()  # P of (B, ...), the gradients at the output


class NotRowByRow(ValueError):
    """The model has a module that only `by_vmap` can handle."""


def by_layer(
    model: nn.Module,
    trajectories: Trajectories,
    weights: Tensor,
    parameters: Mapping[str, Tensor],
) -> Gradients:
    """Yield what `by_vmap` does: (name, gradients (B, P, *shape)), a parameter at a time.

    Exact for modules that use their own parameters, row by row, in their own forward pass: linear
    and embedding layers by formula, others (norms) by torch.func on the module alone.
    Raises ValueError for weights of another shape, and NotRowByRow for a module that does not take
    one tensor of B rows (experts, say): `by_vmap` needs no such thing.
    """
    check_weights(trajectories, weights)
    calls = _record(model, trajectories, weights, {id(p) for p in parameters.values()})
    for name, parameter in parameters.items():
        total = None
        for call in calls:
            for own, value in call.module.named_parameters(recurse=False):
                if value is parameter:
                    part = _gradient(call, own)
                    total = part if total is None else total.add_(part)
        if total is None:
            raise NotRowByRow(f"{name} is not used by the module that owns it: use by_vmap")
        yield name, total


def _record(model, trajectories, weights, wanted: set[int]) -> list[_Call]:
    """Run the model forward, and backward once per weighting down to the recorded outputs."""
    calls: list[_Call] = []

    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        rows = len(trajectories.mask)
        if len(inputs) != 1 or not isinstance(output, Tensor) or len(inputs[0]) != rows:
            raise NotRowByRow(f"{type(module).__name__} does not work row by row: use by_vmap")
        if not output.requires_grad:
            output.requires_grad_()  # where every parameter below is frozen
        calls.append(_Call(module, inputs[0].detach(), output))

    owners = [m for m in model.modules() if any(id(p) in wanted for p in m.parameters(False))]
    handles = [module.register_forward_hook(hook) for module in owners]
    try:
        with torch.enable_grad():
            log_probs = completion_log_probs(model, trajectories)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        return []
    outputs, count = [call.output for call in calls], weights.shape[1]
    cotangents = [
        torch.autograd.grad(
            log_probs,
            outputs,
            weights[:, number].to(log_probs.dtype),
            retain_graph=number + 1 < count,
            materialize_grads=True,
        )
        for number in range(count)
    ]
    columns = zip(*cotangents, strict=True)
    return [
        call._replace(output=call.output.detach(), cotangents=column)
        for call, column in zip(calls, columns, strict=True)
    ]


def _gradient(call: _Call, name: str) -> Tensor:
    """Return what one of the module's own parameters gets from this call, (B, P, *shape)."""
    module = call.module
    if type(module) is nn.Linear and name == "weight":
        cotangents = rearrange(torch.cat(call.cotangents, -1), "row ... d -> row (...) d")
        inputs = rearrange(call.input.to(cotangents.dtype), "row ... d -> row (...) d")
        product = cotangents.mT @ inputs
        return rearrange(product, "row (part out) d -> row part out d", part=len(call.cotangents))
    if type(module) is nn.Linear:
        return torch.stack([g.flatten(1, -2).sum(1) for g in call.cotangents], 1)
    if type(module) is nn.Embedding:
        return _embedding_gradient(call, module)
    return _any_gradient(call, name)


def _embedding_gradient(call: _Call, module: nn.Embedding) -> Tensor:
    rows, count, vocabulary = len(call.input), len(call.cotangents), module.num_embeddings
    width = call.cotangents[0].shape[-1]
    total = call.cotangents[0].new_zeros(rows, count, vocabulary, width)
    ids = call.input.flatten(1)
    real = torch.ones_like(ids, dtype=torch.bool)
    if module.padding_idx is not None:  # torch gives it no gradient
        real = ids.ne(module.padding_idx)
    index = (torch.arange(rows, device=ids.device)[:, None] * count * vocabulary + ids).flatten()
    for number, cotangent in enumerate(call.cotangents):
        flat = torch.where(real[..., None], cotangent.flatten(1, -2), 0.0).flatten(0, 1)
        total.view(-1, width).index_add_(0, index + number * vocabulary, flat)
    return total


def _any_gradient(call: _Call, name: str) -> Tensor:
    parameter = getattr(call.module, name).detach()

    def one(x: Tensor, cotangents: tuple[Tensor, ...]) -> Tensor:
        def output(value: Tensor) -> Tensor:
            return functional_call(call.module, {name: value}, (x[None],))

        out, pull, *_ = vjp(output, parameter)
        return torch.stack([pull(g[None].to(out.dtype))[0] for g in cotangents])

    return vmap(one)(call.input, call.cotangents)
