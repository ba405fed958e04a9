"""An optimizer's step: gradients clipped, the rate as scheduled, the update."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from train.config.groups import OptimisationConfig
from train.devices.sharding import whole_tensor
from train.learning.schedule import rate_factor


def clipped_norm(parameters: Iterable[nn.Parameter | Tensor], how: OptimisationConfig) -> float:
    """Clip gradients to `how.max_grad_norm`; return their norm before."""
    norm = torch.nn.utils.clip_grad_norm_(list(parameters), how.max_grad_norm)
    return whole_tensor(norm).item()


def update(optimizer: torch.optim.Optimizer, step: int, how: OptimisationConfig) -> float:
    """Update what is trained at step `step` (from 1), drop gradients; return the learning rate."""
    rate = how.learning_rate * rate_factor(step - 1, how)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return rate


def take_step(
    parameters: Iterable[nn.Parameter | Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
    how: OptimisationConfig,
) -> None:
    """Clip gradients and update, as step `step` (from 1) does."""
    clipped_norm(parameters, how)
    update(optimizer, step, how)
