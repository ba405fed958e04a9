"""An optimizer batch cut into micro-batches, by rows or by tokens with little padding."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from objectives import Batch
from objectives.errors import InputError
from train.data.input_rows import InputRows, alike, collate, worthwhile
from train.data.offline import OptimizerBatch
from train.data.tokenized import TokenizedData
from train.data.units import solve_rates
from train.devices import processes


class MicroBatch(NamedTuple):
    rows: InputRows
    batch: Batch  # with what is known before the forward passes
    index: Tensor  # (B,) rows of the data set
    counted: bool = True  # False: computed for the sake of other processes, and worth nothing
    coefficients: Tensor | None = None  # (B, T) in the place of those that the objective gives


def micro_batch(
    data: TokenizedData,
    reward: Tensor,
    units: Tensor,
    mean_length: float,
    *,
    divergence: Tensor | None = None,
    width: int | None = None,
) -> MicroBatch:
    """Make tensors of units (U, 1 or 2 rows of the data), to be computed at once.

    reward: (N,) what the objective sees, for every row of the data. mean_length: of the
    completions of the whole optimizer batch, in trained tokens. divergence: () KTO's z0 over that
    batch. width: as `collate` has it.
    """
    index, paired = rearrange(units, "unit row -> (unit row)"), units.shape[1] == 2
    rows = collate([data.tokens[i] for i in index.tolist()], width=width, paired=paired)
    batch = Batch(
        mask=rows.mask,
        reward=reward[index],
        group=data.group[index],
        weight=data.weight[index],
        pairs=torch.arange(len(index)).view(-1, 2) if paired else None,
        mean_length=torch.full((len(index),), mean_length),
        divergence=None if divergence is None else divergence.expand(len(index)),
        solve_rate=solve_rates(data)[index],
    )
    return MicroBatch(rows, batch, index)


class MicroBatcher:
    """Cuts optimizer batches into micro-batches, and divides them among the run's processes."""

    def __init__(
        self,
        budget: "TokenBudget",
        rows_at_once: int | None = None,
        width: int | None = None,
    ):
        """budget: of tokens of a micro-batch; rows_at_once, width: as `partition` has them."""
        self.budget, self.rows_at_once, self.width = budget, rows_at_once, width

    def micro_batches(
        self, batch: OptimizerBatch, divergence: Tensor | None = None
    ) -> Iterator[MicroBatch]:
        """Return this process's micro-batches, as many as every other has.

        Those beyond its share hold a unit that is not counted. divergence: as `micro_batch` has it.
        """
        shares = divide(batch.data, batch.units, processes.count())
        parts = [self._cut(batch.data, share) for share in shares]
        own = parts[processes.rank()]
        idle = max(map(len, parts)) - len(own)
        for number, part in enumerate(own + idle * [_shortest(batch)] if idle else own):
            made = micro_batch(
                batch.data, batch.reward, part, batch.mean_length,
                divergence=divergence, width=self.width,
            )  # fmt: skip
            yield made._replace(counted=number < len(own))

    def rows_that_fit(self, batch: OptimizerBatch) -> int:
        """Return how many trajectories of their own to compute at a time."""
        if self.budget.tokens is None:
            return self.rows_at_once or batch.units.numel()
        return max(1, self.budget.tokens // max(unit_lengths(batch.data, batch.units)))

    def halve(self, batch: OptimizerBatch) -> None:
        """Make do with half the tokens at a time; raises InputError as `TokenBudget.halve`."""
        self.budget.halve(batch.data, batch.units, self.width)

    def _cut(self, data: TokenizedData, units: Tensor) -> list[Tensor]:
        return partition(
            data,
            units,
            rows_at_once=self.rows_at_once,
            tokens_at_once=self.budget.tokens,
            width=self.width,
        )


def _shortest(batch: OptimizerBatch) -> Tensor:
    lengths = unit_lengths(batch.data, batch.units)
    return batch.units[[lengths.index(min(lengths))]]


def partition(
    data: TokenizedData,
    units: Tensor,
    *,
    rows_at_once: int | None = None,
    tokens_at_once: int | None = None,
    width: int | None = None,
) -> list[Tensor]:
    """Split units (U, 1 or 2 rows) into parts to compute one after the other.

    rows_at_once: rows of a part, at least one unit. tokens_at_once: tokens of a part, padding
    included; units of about one length then come together, the longest first, and one that is
    longer by itself is a part of its own. With neither all are one part. width: as `collate` has
    it.
    """
    if not len(units):
        return []
    if tokens_at_once is None:
        per_part = len(units) if rows_at_once is None else rows_at_once // units.shape[1]
        return list(units.split(max(1, per_part)))
    rows, lengths = unit_shapes(data, units, width)
    order = sorted(range(len(units)), key=lambda unit: -lengths[unit])
    parts: list[list[int]] = []
    for unit in order:
        longest = lengths[parts[-1][0]] if parts else 0
        if not parts or (len(parts[-1]) + 1) * rows * longest > tokens_at_once:
            parts.append([])
        parts[-1].append(unit)
    return [units[torch.tensor(part)] for part in parts]


def divide(data: TokenizedData, units: Tensor, count: int) -> list[Tensor]:
    """Divide units among `count` processes, so that each has about as many tokens."""
    if count == 1:
        return [units]
    lengths = unit_lengths(data, units)
    shares: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    for unit in sorted(range(len(units)), key=lambda unit: -lengths[unit]):
        least = tokens.index(min(tokens))
        shares[least].append(unit)
        tokens[least] += lengths[unit]
    return [units[torch.tensor(sorted(share), dtype=torch.long)] for share in shares]


def unit_lengths(data: TokenizedData, units: Tensor) -> list[int]:
    """Return the tokens of each unit's longest row, prompt included."""
    return data.tokens.lengths[units].amax(1).tolist()


class Shapes(NamedTuple):
    """What units take of a micro-batch."""

    rows: int  # of each unit
    lengths: list[int]  # of its longest row, in tokens


def unit_shapes(data: TokenizedData, units: Tensor, width: int | None) -> Shapes:
    """Return the shapes of units (U, 1 or 2 rows): of a pair that shares its prompt one long row.

    width: as `collate` has it.
    """
    apart = unit_lengths(data, units)
    if width is None or units.shape[1] == 1:
        return Shapes(units.shape[1], apart)
    pairs = [[data.tokens[row].whole for row in unit] for unit in units.tolist()]
    together = [len(one) + len(other) - alike(one, other) for one, other in pairs]
    twice = [length for length in apart for _ in range(2)]
    return Shapes(1, together) if worthwhile(together, twice, width) else Shapes(2, apart)


class TokenBudget:
    """Tokens of a micro-batch: as given, or found by halving where memory does not hold them."""

    def __init__(self, given: int | None = None, automatic: bool = False):
        """automatic: begin with the whole batch, and halve."""
        self.tokens, self.automatic = given, automatic

    def halve(self, data: TokenizedData, units: Tensor, width: int | None = None) -> None:
        """Make do with half, after a batch did not fit in memory.

        Raises InputError where it is not ours to choose, or not even one unit fits.
        """
        rows, lengths = unit_shapes(data, units, width)
        one, whole = rows * max(lengths), rows * max(lengths) * len(units)
        if not self.automatic:
            raise InputError(
                "out of memory: lower --tokens-per-microbatch or --micro-batch-size; what was "
                "written before is kept"
            )
        before = min(self.tokens or whole, whole)
        if before <= one:
            raise InputError(
                f"out of memory with a single unit of {one} tokens: shorten it with --max-tokens; "
                f"what was written before is kept"
            )
        self.tokens = max(one, before // 2)
