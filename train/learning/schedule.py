"""When things are due, and the learning rate at each step."""

import functools
import math
from collections.abc import Callable
from typing import cast

import torch
from torch.optim.lr_scheduler import LambdaLR

from objectives.errors import InputError
from train.config.groups import OptimisationConfig
from train.config.schedule import is_own, read_options


def rate_factor(done: int, how: OptimisationConfig) -> float:
    """Return the learning rate after `done` updates, as a share of its highest.

    The warm-up is ours for all schedules, and so are constant, linear and cosine: transformers
    warms up from rate 0, which wastes an update, and its sums differ from ours in the last bits,
    while a run goes on from a checkpoint at the rates that it would have had.
    Raises InputError for options that a schedule of transformers does not take.
    """
    if done < how.warmup_steps:
        return (done + 1) / (how.warmup_steps + 1)
    if not is_own(how.schedule):
        return _of_transformers(how)(done)
    if how.schedule == "constant":
        return 1.0
    rest = max(1, how.steps - how.warmup_steps)
    left = max(0.0, 1 - (done - how.warmup_steps) / rest)
    return left if how.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


@functools.lru_cache(maxsize=8)
def _of_transformers(how: OptimisationConfig) -> Callable[[int], float]:
    from transformers import get_scheduler  # seconds to import

    # Schedulers want an optimizer; of this one only the learning rate is read.
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=how.learning_rate)
    options = read_options(how.schedule, how.schedule_options)
    try:
        scheduler = get_scheduler(how.schedule, optimizer, how.warmup_steps, how.steps, options)
        (factor,) = cast(LambdaLR, scheduler).lr_lambdas
        factor(how.warmup_steps)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"--schedule {how.schedule}, --schedule-options: {error}") from None
    return factor


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
