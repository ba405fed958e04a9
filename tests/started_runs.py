"""Runs about to take their first step, for tests that take it themselves."""

from dataclasses import replace

import torch

from train.run.loop import Run


def with_config(ground, **changes):
    """Return a ground with other settings."""
    return ground.with_config(replace(ground.config, **changes))


def started(ground, name, folder, **given):
    """Return a run about to take its first step."""
    run = Run(ground, name, given, folder)
    run.folder.create({})
    run.prepare()
    return run


@torch.no_grad()
def logits(policy, rows):
    """Return the logits at the completions' positions, from the model's own forward pass."""
    out = policy.model(**rows.inputs()).logits
    return out[rows.row, rows.position].double()
