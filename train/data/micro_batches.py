"""An optimizer batch cut into micro-batches, by rows or by tokens with little padding."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from objectives import Batch
from objectives.errors import InputError
from train.data.input_rows import InputRows, alike, collate, worthwhile
from train.data.tokenized import TokenizedData


def partition(
    encoded: TokenizedData,
    chosen: Tensor,
    *,
    rows_at_once: int | None = None,
    tokens_at_once: int | None = None,
    width: int | None = None,
) -> list[Tensor]:
    """Split a step's units (U, 1 or 2 rows) into parts to compute one after the other.

    rows_at_once: rows of a part, at least one unit. tokens_at_once: tokens of a part, padding
    included; units of about one length then come together, the longest first, and one that is
    longer by itself is a part of its own. With neither all are one part. width: as `collate` has
    it.
    """
    if not len(chosen):
        return []
    if tokens_at_once is None:
        per_part = len(chosen) if rows_at_once is None else rows_at_once // chosen.shape[1]
        return list(chosen.split(max(1, per_part)))
    rows, lengths = unit_shapes(encoded, chosen, width)
    order = sorted(range(len(chosen)), key=lambda unit: -lengths[unit])
    parts: list[list[int]] = []
    for unit in order:
        longest = lengths[parts[-1][0]] if parts else 0
        if not parts or (len(parts[-1]) + 1) * rows * longest > tokens_at_once:
            parts.append([])
        parts[-1].append(unit)
    return [chosen[torch.tensor(part)] for part in parts]


def divide(encoded: TokenizedData, chosen: Tensor, count: int) -> list[Tensor]:
    """Divide a step's units among `count` processes, so that each has about as many tokens."""
    if count == 1:
        return [chosen]
    lengths = unit_lengths(encoded, chosen)
    shares: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    for unit in sorted(range(len(chosen)), key=lambda unit: -lengths[unit]):
        least = tokens.index(min(tokens))
        shares[least].append(unit)
        tokens[least] += lengths[unit]
    return [chosen[torch.tensor(sorted(share), dtype=torch.long)] for share in shares]


def unit_lengths(encoded: TokenizedData, chosen: Tensor) -> list[int]:
    """Return the tokens of each unit's longest row, prompt included."""
    return encoded.tokens.lengths[chosen].amax(1).tolist()


class Shapes(NamedTuple):
    """What units take of a micro-batch."""

    rows: int  # of each unit
    lengths: list[int]  # of its longest row, in tokens


def unit_shapes(encoded: TokenizedData, chosen: Tensor, width: int | None) -> Shapes:
    """Return the shapes of units (U, 1 or 2 rows): of a pair that shares its prompt one long row.

    width: as `collate` has it.
    """
    apart = unit_lengths(encoded, chosen)
    if width is None or chosen.shape[1] == 1:
        return Shapes(chosen.shape[1], apart)
    pairs = [[encoded.tokens[row].whole for row in unit] for unit in chosen.tolist()]
    together = [len(one) + len(other) - alike(one, other) for one, other in pairs]
    twice = [length for length in apart for _ in range(2)]
    return Shapes(1, together) if worthwhile(together, twice, width) else Shapes(2, apart)


class TokenBudget:
    """Tokens of a micro-batch: as given, or found by halving where memory does not hold them."""

    def __init__(self, given: int | None, automatic: bool):
        """automatic: begin with the whole batch, and halve."""
        self.tokens, self.automatic = given, automatic

    def halve(self, encoded: TokenizedData, chosen: Tensor, width: int | None = None) -> None:
        """Make do with half, after a batch did not fit in memory.

        Raises InputError where it is not ours to choose, or not even one unit fits.
        """
        rows, lengths = unit_shapes(encoded, chosen, width)
        one, whole = rows * max(lengths), rows * max(lengths) * len(chosen)
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


class MicroBatch(NamedTuple):
    rows: InputRows
    batch: Batch  # with what is known before the forward passes
    index: Tensor  # (B,) rows of the data set
    counted: bool = True  # False: computed for the sake of other processes, and worth nothing


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
