"""Gradients of the embedding added to those that are there, row by row.

PyTorch makes a gradient of the whole vocabulary for every micro-batch, of which all but the rows
of its tokens are 0, and adds it up: of a small model with a large vocabulary a tenth of a step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from train.devices.sharding import is_sharded


@contextmanager
def adding_embedding_rows(model: nn.Module) -> Iterator[None]:
    """Have backward passes add the embedding's gradient to its `grad` in place, where there is one.

    Within it a backward pass is for `grad` alone (`backward()`, not `torch.autograd.grad`). Nothing
    changes for models that are sharded or whose embedding is frozen or is more than a table.
    """
    table = model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
    plain = type(table) is nn.Embedding and table.max_norm is None
    if not plain or table.sparse or table.scale_grad_by_freq or is_sharded(model):
        yield
        return
    hook = table.register_forward_hook(_look_up)
    try:
        yield
    finally:
        hook.remove()


def _look_up(table: nn.Embedding, given: tuple[Tensor, ...], found: Tensor) -> Tensor | None:
    if not (torch.is_grad_enabled() and table.weight.requires_grad):
        return None
    return _Rows.apply(table.weight, given[0], table.padding_idx, found)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, ids, padding, found):
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding = weight, padding
        return found.detach()

    @staticmethod
    def backward(ctx, *gradients):
        (ids,), weight = ctx.saved_tensors, ctx.weight
        ids, rows = ids.flatten(), gradients[0].flatten(0, -2).to(weight.dtype)
        if ctx.padding is not None:
            rows = rows.masked_fill((ids == ctx.padding)[:, None], 0)
        total = torch.zeros_like(weight) if weight.grad is None else weight.grad
        total.index_add_(0, ids, rows)
        return None if total is weight.grad else total, None, None, None
