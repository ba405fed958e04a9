"""Runs about to take their first step, for tests that take it themselves."""

from dataclasses import replace

from train.harness import Run


def with_config(ground, **changes):
    """Return a ground with other settings."""
    return ground.with_config(replace(ground.config, **changes))


def started(ground, name, folder, **given):
    """Return a run about to take its first step."""
    run = Run(ground, name, given, folder)
    run.folder.create({})
    run.prepare()
    return run
