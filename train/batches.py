"""Optimizer batches: which units a step trains on, and what the objective sees of them."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from objectives import Batch
from train.dataset import TokenizedData
from train.rows import InputRows, collate


class MicroBatch(NamedTuple):
    rows: InputRows
    batch: Batch  # with what is known before the forward passes
    index: Tensor  # (B,) rows of the data set
    counted: bool = True  # False: computed for the sake of other processes, and worth nothing


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


def micro_batches(
    encoded: TokenizedData,
    reward: Tensor,
    parts: Iterable[Tensor],
    pad_id: int,
    mean_length: float,
    width: int | None = None,
) -> Iterator[MicroBatch]:
    """Make tensors of each part of a step's units, (U, 1 or 2 rows) as `partition` has them.

    reward: (N,) what the objective sees, for every row of the TokenizedData.
    mean_length: of the completions of the whole optimizer batch, in tokens.
    width: as `collate` has it.
    """
    for part in parts:
        index = part.flatten()
        paired = part.shape[1] == 2
        rows = collate([encoded.tokens[i] for i in index.tolist()], pad_id, width, paired)
        batch = Batch(
            mask=rows.mask,
            reward=reward[index],
            group=encoded.group[index],
            weight=encoded.weight[index],
            pairs=torch.arange(len(index)).view(-1, 2) if paired else None,
            mean_length=torch.full((len(index),), mean_length),
        )
        yield MicroBatch(rows, batch, index)
