"""A step's gradients, micro-batch by micro-batch, as many tokens at a time as memory holds."""

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

from train.batches import MicroBatch, micro_batches
from train.config import Config
from train.draws import Draw
from train.partition import TokenBudget, partition, unit_lengths
from train.step import Learner, StepMetrics


class Accumulation:
    """Cuts what a step draws into micro-batches for a learner."""

    def __init__(self, learner: Learner, config: Config, pad_id: int):
        self.learner, self.config, self.pad_id = learner, config, pad_id
        given = config.tokens_per_microbatch
        automatic = learner.device.type == "cuda" and given is None and not config.micro_batch_size
        self.budget = TokenBudget(given, automatic)

    def accumulate(self, draw: Draw) -> tuple[StepMetrics, Tensor | None]:
        """Add a step's gradients to the policy's; return its metrics and KTO's z0.

        Where memory runs out and the size is ours to choose, the step begins again with half.
        """
        while True:
            try:
                divergence = self.divergence(draw)
                micros = self.micro_batches(draw)
                return self.learner.accumulate(micros, draw.count, divergence), divergence
            except torch.OutOfMemoryError:
                self.budget.halve(draw.encoded, draw.chosen)
            # Out of the handler, which holds on to the tensors of what failed.
            self.learner.policy.model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            tqdm.write(f"out of memory: going on with {self.budget.tokens} tokens at a time")

    def micro_batches(self, draw: Draw) -> Iterator[MicroBatch]:
        """Return the micro-batches of what was drawn."""
        parts = partition(
            draw.encoded,
            draw.chosen,
            rows_at_once=self.config.micro_batch_size,
            tokens_at_once=self.budget.tokens,
        )
        return micro_batches(draw.encoded, draw.reward, parts, self.pad_id, draw.mean_length)

    def divergence(self, draw: Draw) -> Tensor | None:
        """Return KTO's z0 over what was drawn; None for objectives that need none."""
        if "divergence" not in self.learner.objective.needs:
            return None
        rows = self.config.micro_batch_size or self.config.batch_size
        if self.budget.tokens is not None:
            rows = max(1, self.budget.tokens // max(unit_lengths(draw.encoded, draw.chosen)))
        index = draw.chosen.flatten()
        return self.learner.divergence(draw.encoded, index, rows, self.pad_id)
