"""How the gradients of single tokens of a pair agree: a matrix to look at as a heat map."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap

from diagnostics.entanglement.gradients import batchable_attention
from diagnostics.trajectories import Trajectories, completion_log_probs


def token_gram(
    model: nn.Module,
    trajectories: Trajectories,
    parameters: Mapping[str, Tensor],
    *,
    tokens_at_once: int = 8,
    progress: Callable[[int], object] | None = None,
) -> Tensor:
    """Return `⟨∇log π(y_i), ∇log π(y_j)⟩` for all completion tokens of the rows, (N, N).

    Tokens in the order of the mask: those of the first row (the chosen), then of the second. A
    token's gradient, pushed forward through the same trajectories as a tangent, gives its inner
    products with every token's; so `tokens_at_once` gradients are in memory, whatever N.

    trajectories: commonly the two rows of a pair. parameters: as `select_parameters` returns.
    progress: called with the number of tokens done since the last call.
    """
    parameters = {name: p.detach() for name, p in parameters.items()}
    mask = trajectories.mask

    def log_probs(parameters: Mapping[str, Tensor]) -> Tensor:
        return completion_log_probs(model, trajectories, parameters)[mask]

    with batchable_attention():
        values, pull, *_ = vjp(log_probs, parameters)
        every = torch.eye(len(values), dtype=values.dtype, device=values.device)

        def row(one: Tensor) -> Tensor:
            return jvp(log_probs, (parameters,), pull(one))[1]

        parts = []
        for some in every.split(tokens_at_once):
            parts.append(vmap(row)(some))
            if progress is not None:
                progress(len(some))
    return torch.cat(parts) if parts else every


def cosines(gram: Tensor) -> Tensor:
    """Return cosines from inner products, (N, N) -> (N, N); 0 where a gradient is 0."""
    norms = gram.diagonal().clamp(min=0).sqrt()
    scale = norms[:, None] * norms
    return torch.where(scale > 0, gram / scale.where(scale > 0, 1.0), 0.0)
