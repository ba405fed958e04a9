"""A step's gradients, micro-batch by micro-batch, as many tokens at a time as memory holds."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from objectives import reference_point
from objectives.errors import InputError
from train.config.settings import Config
from train.data.micro_batches import (
    MicroBatch,
    TokenBudget,
    divide,
    micro_batches,
    partition,
    unit_lengths,
)
from train.data.offline import OptimizerBatch
from train.devices import processes
from train.devices.sharding import is_sharded
from train.learning.learner import Learner, StepMetrics, step_metrics

CPU_TOKENS = 512  # more at a time are hardly faster there, and take memory


class Accumulation:
    """Cuts what a step draws into micro-batches for a learner, and divides it among processes."""

    def __init__(self, learner: Learner, config: Config, pad_id: int, width: int | None):
        """width: as `collate` has it."""
        self.learner, self.config, self.pad_id, self.width = learner, config, pad_id, width
        self.sharded = is_sharded(learner.policy.model)
        tokens, automatic = config.tokens_per_microbatch, False
        if tokens is None and config.micro_batch_size is None:
            if learner.device.type == "cpu":
                tokens = CPU_TOKENS
            else:  # where weights are sharded, one that runs out of memory leaves others waiting
                automatic = not self.sharded
        self.budget = TokenBudget(tokens, automatic)

    def accumulate(self, draw: OptimizerBatch) -> tuple[StepMetrics, Tensor | None]:
        """Add a step's gradients to the policy's; return its metrics and KTO's z0.

        Where memory runs out and the size is ours to choose, it begins again with half.
        """
        divergence = self.divergence(draw)
        totals = self._fitting(
            draw,
            lambda: self.learner.accumulate(self.micro_batches(draw), draw.count, divergence),
        )
        if not self.sharded:
            for parameter in self.learner.policy.model.parameters():
                if parameter.grad is not None:
                    processes.add_up(parameter.grad)
        return step_metrics(totals, self.learner.frozen_models), divergence

    def _fitting(self, draw: OptimizerBatch, work: Callable[[], Any]) -> Any:
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                try:
                    self.budget.halve(draw.encoded, draw.units, self.width)
                except InputError as error:
                    if not processes.is_main():  # whose own complaints are not printed
                        print(f"process {processes.rank()}: {error}", file=sys.stderr)
                    raise
            # Out of the handler, which holds on to the tensors of what failed.
            self.learner.policy.model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            tqdm.write(f"out of memory: going on with {self.budget.tokens} tokens at a time")

    def micro_batches(self, draw: OptimizerBatch) -> Iterator[MicroBatch]:
        """Return this process's micro-batches of what was drawn, as many as every other has.

        Those beyond its share hold a unit that is not counted.
        """
        encoded, count = draw.encoded, processes.count()
        parts = [self._parts(draw, share) for share in divide(encoded, draw.units, count)]
        own = parts[processes.rank()]
        rest = self.pad_id, draw.mean_length, self.width
        counted = micro_batches(encoded, draw.reward, own, *rest)
        idle = max(map(len, parts)) - len(own)
        lengths = unit_lengths(encoded, draw.units) if idle else []
        shortest = [draw.units[[lengths.index(min(lengths))]]] * idle if idle else []
        spare = micro_batches(encoded, draw.reward, shortest, *rest)
        yield from counted
        yield from (micro._replace(counted=False) for micro in spare)

    def _parts(self, draw: OptimizerBatch, share: Tensor) -> list[Tensor]:
        return partition(
            draw.encoded,
            share,
            rows_at_once=self.config.micro_batch_size,
            tokens_at_once=self.budget.tokens,
            width=self.width,
        )

    def divergence(self, draw: OptimizerBatch) -> Tensor | None:
        """Return KTO's z0 over what was drawn; None for objectives that need none."""
        if "divergence" not in self.learner.objective.needs:
            return None
        ratios = self._fitting(draw, lambda: self._mismatched_ratios(draw))
        return reference_point(processes.add_up(ratios))

    def _mismatched_ratios(self, draw: OptimizerBatch) -> Tensor:
        rows = self.config.micro_batch_size or self.config.batch_size
        if self.budget.tokens is not None:
            rows = max(1, self.budget.tokens // max(unit_lengths(draw.encoded, draw.units)))
        index = draw.units.flatten()
        return self.learner.mismatched_ratios(draw.encoded, index, rows, self.pad_id, shared=True)
