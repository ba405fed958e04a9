"""Which trajectories share a row, so that what they begin with is computed once."""

from collections.abc import Sequence
from typing import NamedTuple

from train.tokens import Tokens

WORTHWHILE = 0.95  # of the operations without sharing


class SharedRow(NamedTuple):
    """Trajectories of one row: which they are, and how many tokens they share."""

    members: list[int]
    trunk: int


def shared_rows(
    tokens: list[Tokens], whole: list[list[int]], width: int, paired: bool
) -> list[SharedRow] | None:
    """Plan common rows of pairs, or of all of a prompt; None where that saves too little.

    whole: all ids of each. width: of the model's hidden states, d. paired: trajectories 2i and
    2i + 1 are a pair, and all pairs share or none does.
    """
    if paired:
        couples = [(i, i + 1) for i in range(0, len(whole), 2)]
        rows = [SharedRow([i, j], alike(whole[i], whole[j])) for i, j in couples]
    else:
        prompts: dict[tuple, list[int]] = {}
        for i, (prompt, _) in enumerate(tokens):
            prompts.setdefault(tuple(prompt), []).append(i)
        rows = [row for members in prompts.values() for row in _grown(members, whole, width)]
    if len(rows) == len(whole):
        return None
    longest = max(_length(row, whole) for row in rows)
    together, apart = [longest] * len(rows), [max(map(len, whole))] * len(whole)
    return rows if worthwhile(together, apart, width) else None


def _grown(members: list[int], whole: list[list[int]], width: int) -> list[SharedRow]:
    """Add trajectories to a row one by one for as long as the row saves operations."""
    rows: list[SharedRow] = []
    for member in members:
        if rows:
            last = rows[-1]
            trunk = alike(whole[last.members[0]][: last.trunk], whole[member])
            both = SharedRow([*last.members, member], trunk)
            apart = [_length(last, whole), len(whole[member])]
            if worthwhile([_length(both, whole)], apart, width):
                rows[-1] = both
                continue
        rows.append(SharedRow([member], len(whole[member])))
    return rows


def _length(row: SharedRow, whole: list[list[int]]) -> int:
    return row.trunk + sum(len(whole[member]) - row.trunk for member in row.members)


def worthwhile(together: list[int], apart: list[int], width: int) -> bool:
    """Return whether rows that share their beginnings save operations enough.

    together, apart: tokens of each row, with and without sharing. Of a layer's operations 24 d² a
    token are products with weights, and 4 d for each pair of tokens are attention (arXiv
    2001.08361), of which causal attention computes half where it needs no mask.
    """
    shared = sum(24 * width * length + 4 * length**2 for length in together)
    return shared <= WORTHWHILE * sum(24 * width * length + 2 * length**2 for length in apart)


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two trajectories begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
