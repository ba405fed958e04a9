"""How an optimizer batch is cut into micro-batches: by rows, or by tokens with little padding."""

import torch
from torch import Tensor

from objectives.errors import InputError
from train.dataset import Encoded


def partition(
    encoded: Encoded,
    chosen: Tensor,
    *,
    rows_at_once: int | None = None,
    tokens_at_once: int | None = None,
) -> list[Tensor]:
    """Split a step's units (U, 1 or 2 rows) into parts to compute one after the other.

    rows_at_once: rows of a part, at least one unit. tokens_at_once: tokens of a part, padding
    included; units of about one length then come together, the longest first, and one that is
    longer by itself is a part of its own. With neither all are one part.
    """
    if not len(chosen):
        return []
    if tokens_at_once is None:
        per_part = len(chosen) if rows_at_once is None else rows_at_once // chosen.shape[1]
        return list(chosen.split(max(1, per_part)))
    lengths = unit_lengths(encoded, chosen)
    order = sorted(range(len(chosen)), key=lambda unit: -lengths[unit])
    parts: list[list[int]] = []
    for unit in order:
        longest = lengths[parts[-1][0]] if parts else 0
        if not parts or (len(parts[-1]) + 1) * chosen.shape[1] * longest > tokens_at_once:
            parts.append([])
        parts[-1].append(unit)
    return [chosen[torch.tensor(part)] for part in parts]


def divide(encoded: Encoded, chosen: Tensor, count: int) -> list[Tensor]:
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


def unit_lengths(encoded: Encoded, chosen: Tensor) -> list[int]:
    """Return the tokens of each unit's longest row, prompt included."""
    return encoded.tokens.lengths[chosen].amax(1).tolist()


class TokenBudget:
    """Tokens of a micro-batch: as given, or found by halving where memory does not hold them."""

    def __init__(self, given: int | None, automatic: bool):
        """automatic: begin with the whole batch, and halve."""
        self.tokens, self.automatic = given, automatic

    def halve(self, encoded: Encoded, chosen: Tensor) -> None:
        """Make do with half, after a batch did not fit in memory.

        Raises InputError where it is not ours to choose, or not even one unit fits.
        """
        lengths = unit_lengths(encoded, chosen)
        one, whole = max(lengths) * chosen.shape[1], max(lengths) * chosen.numel()
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
