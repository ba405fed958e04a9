"""When things are due, and the learning rate at each step."""

import math

from train.config.settings import Config


def rate_factor(done: int, config: Config) -> float:
    """Return the learning rate after `done` updates, as a share of its highest."""
    if done < config.warmup_steps:
        return (done + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    rest = max(1, config.steps - config.warmup_steps)
    left = max(0.0, 1 - (done - config.warmup_steps) / rest)
    return left if config.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
