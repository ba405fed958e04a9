"""What each optimizer step trains on, drawn from a fixed data set."""

from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from objectives import Objective
from objectives.errors import InputError
from train.config import Config
from train.data.tokenized import TokenizedData
from train.data.units import select_units


class OptimizerBatch(NamedTuple):
    """What one step trains on: units, and the trajectories that they are of."""

    data: TokenizedData
    reward: Tensor  # (N,) what the objective sees, for every row of the data
    units: Tensor  # (U, 2) pairs or (U, 1) trajectories: rows of the data
    count: int  # what the sum of the losses is divided by
    mean_length: float  # trained tokens of a completion, of all that the step has sampled or drawn
    metrics: dict[str, float]  # of sampling them


class BatchSource(Protocol):
    """Where optimizer batches come from: a data set, or the policy itself."""

    @property
    def online(self) -> bool:
        """Whether the policy itself samples them."""
        ...

    @property
    def tokens_generated(self) -> int:
        """Tokens of completions, whoever sampled them."""
        ...

    @property
    def generation_seconds(self) -> float:
        """Seconds that this run has sampled for."""
        ...

    @property
    def left_out(self) -> dict[str, int]:
        """How many trajectories are left out, by the reason."""
        ...

    def describe(self) -> str:
        """Return what there is to train on, in words."""
        ...

    def draw(self, step: int, policy) -> OptimizerBatch:
        """Return what step `step` (from 1) trains on."""
        ...


class OfflineData:
    """Goes through the units of a data set again and again, each epoch in an order of its own."""

    online = False

    def __init__(self, tokenized: TokenizedData, objective: Objective, config: Config):
        """Raises InputError where the data give the objective nothing to train on."""
        self.tokenized, self.objective, self.config = tokenized, objective, config
        self.units = select_units(tokenized, objective, config.rows, config.advantage)
        self.units_per_step = config.batch_size // self.units.rows.shape[1]
        if config.batch_size % self.units.rows.shape[1]:
            raise InputError(
                f"--batch-size {config.batch_size}: a pair is two trajectories, so it must be even"
            )

    @property
    def tokens_generated(self) -> int:
        """Tokens of all completions of the data set: somebody had to sample them."""
        return int(self.tokenized.tokens.trained.sum())

    @property
    def generation_seconds(self) -> float:
        """Seconds that this run has sampled for: none."""
        return 0.0

    @property
    def left_out(self) -> dict[str, int]:
        return self.units.left_out

    def describe(self) -> str:
        """Return what there is to train on, in words."""
        kind = "pairs" if self.units.rows.shape[1] == 2 else "trajectories"
        return f"{len(self.units.rows)} {kind}"

    def draw(self, step: int, policy=None) -> OptimizerBatch:
        """Return what step `step` (from 1) trains on, a pure function of the step and the seed."""
        index = unit_indices(len(self.units.rows), self.units_per_step, step - 1, self.config.seed)
        chosen = self.units.rows[index]
        count = len(chosen) if self.objective.unit == "pair" else chosen.numel()
        length = mean_length(self.tokenized, chosen.flatten())
        return OptimizerBatch(self.tokenized, self.units.reward, chosen, count, length, {})


def mean_length(data: TokenizedData, rows: Tensor) -> float:
    """Return the mean number of trained tokens of some rows."""
    return int(data.tokens.trained[rows].sum()) / len(rows)


def unit_indices(count: int, per_step: int, step: int, seed: int) -> Tensor:
    """Return the units of a step, (per_step,), a pure function of the step and the seed.

    The data is gone through again and again, each epoch in an order of its own.
    """
    places = range(step * per_step, (step + 1) * per_step)
    orders = {epoch: _order(count, epoch, seed) for epoch in {p // count for p in places}}
    return torch.stack([orders[p // count][p % count] for p in places])


@lru_cache(maxsize=4)  # a step is in one epoch or two; problems sampled online have an order too
def _order(count: int, epoch: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator)
