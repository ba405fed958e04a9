"""Gradients of weighted sums of token log-probs, per trajectory: by torch.func, and plainly.

`by_vmap`, `by_backward` and `layerwise.by_layer` take the same arguments and yield the same
numbers. All rows of a call are in memory at once: whoever calls decides how many to give.
"""

from collections.abc import Iterator, Mapping

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from diagnostics.trajectories import Trajectories, completion_log_probs

Gradients = Iterator[tuple[str, Tensor]]


def by_vmap(
    model: nn.Module,
    trajectories: Trajectories,
    weights: Tensor,
    parameters: Mapping[str, Tensor],
) -> Gradients:
    """Yield (name, gradients (B, P, *shape)) of `Σ_t weights[b, p, t] log π(y_bt)`, by torch.func.

    A vmap over rows of a vmap over weightings of the vector-Jacobian product: torch.func.grad,
    with the forward pass done once for the P weightings of a row.

    weights: (B, P, T), P weightings of each row's tokens: all 1 gives ∇s, a mask a part of it.
    parameters: as `select_parameters` returns; a tied one has the sum of its uses' gradients.
    Raises ValueError for weights of another shape.
    """
    check_weights(trajectories, weights)
    parameters = {name: p.detach() for name, p in parameters.items()}

    def one(row: Trajectories, weights: Tensor) -> dict[str, Tensor]:
        row = Trajectories(*(x[None] for x in row))
        log_probs, pull, *_ = vjp(lambda p: completion_log_probs(model, row, p)[0], parameters)
        return vmap(lambda w: pull(w.to(log_probs.dtype))[0])(weights)

    with batchable_attention():
        yield from vmap(one)(trajectories, weights).items()


def by_backward(
    model: nn.Module,
    trajectories: Trajectories,
    weights: Tensor,
    parameters: Mapping[str, Tensor],
) -> Gradients:
    """Yield what `by_vmap` does, by one forward and backward pass per row and weighting."""
    check_weights(trajectories, weights)
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    rows = []
    for number in range(len(weights)):
        row = trajectories.rows(slice(number, number + 1))
        for weight in weights[number]:
            with torch.enable_grad():
                log_probs = completion_log_probs(model, row, leaves)
                total = (weight[: log_probs.shape[1]] * log_probs).sum()
            rows.append(torch.autograd.grad(total, list(leaves.values()), materialize_grads=True))
    for name, column in zip(leaves, zip(*rows, strict=True), strict=True):
        yield name, rearrange(list(column), "(row part) ... -> row part ...", row=len(weights))


def batchable_attention():
    """Return a context in which attention is made of operations that torch.func can transform.

    The fused kernels have no batching rule and no forward derivative.
    """
    return sdpa_kernel(SDPBackend.MATH)


def check_weights(trajectories: Trajectories, weights: Tensor) -> None:
    """Raise ValueError unless weights are (B, P, T) floats for the trajectories' (B, T)."""
    rows, width = trajectories.mask.shape
    fits = weights.dim() == 3 and weights.shape[0] == rows and weights.shape[2] == width
    if not fits or not weights.is_floating_point():
        raise ValueError(
            f"weights must be floats ({rows}, P, {width}), "
            f"got {tuple(weights.shape)} {weights.dtype}"
        )
