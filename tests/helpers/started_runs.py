"""Runs about to take their first step, for tests that take it themselves."""

from dataclasses import replace

import torch

from train.config.spec import objective_spec
from train.run.session import Session


def with_config(setup, **changes):
    """Return a set-up with other settings."""
    return setup.with_config(replace(setup.config, **changes))


def session(setup, name, folder, last=False, **given):
    """Return a run that is checked, and of which nothing is made yet."""
    return Session(setup, objective_spec(name, given), folder, last)


def started(setup, name, folder, last=False, **given):
    """Return a run about to take its first step."""
    planned = session(setup, name, folder, last, **given)
    planned.folder.create({})
    return planned.run()


def trained(planned, origin=None):
    """Train a session to its end; return the run that it made, and the result."""
    made, make = [], planned.run
    planned.run = lambda: made.append(make()) or made[0]
    result = planned.train(origin or {})
    return made[0], result


def first_micro_batch(run):
    """Return the first micro-batch of a run's first step."""
    gradients, batch = run.updater.gradients, run.data.draw(1, run.policies.policy)
    return next(gradients.batcher.micro_batches(batch, gradients.divergence(batch)))


def new_policy(setup, **changes):
    """Return a policy to be trained that is still the base, with other settings."""
    setup = with_config(setup, **changes)
    return setup.base.new_policy(setup.config, setup.base.placed())


@torch.no_grad()
def logits(policy, rows):
    """Return the logits at the completions' positions, from the model's own forward pass."""
    out = policy.model(**rows.inputs()).logits
    return out[rows.row, rows.position].double()
