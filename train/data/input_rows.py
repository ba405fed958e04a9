"""Trajectories as padded tensors, in which those that begin alike may share their beginning."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from train.data.tokens import Tokens

FILLER = 0  # the token that fills rows up: one that every model has, as no other sees it


class InputRows(NamedTuple):
    """B trajectories in R rows of L tokens; T places of trained tokens, N of them real.

    A row holds one trajectory, or several that begin alike: what they share once, then what each
    of them goes on with. The tokens of one do not see those of another.
    """

    input_ids: Tensor  # (R, L) right-padded
    attention_mask: Tensor  # (R, L) 1 where no padding is
    mask: Tensor  # (B, T) bool
    row: Tensor  # (N,) in R of each trained token, in the order of `mask`
    position: Tensor  # (N,) in L of the token before it, which predicts it
    targets: Tensor  # (N,) its id
    slot: Tensor  # (N,) its place in `mask`, read line by line
    tokens: Tensor  # () of all trajectories, those that are shared counted for each
    place: Tensor | None = None  # (R, L) each token's in its trajectory; None: that in its row
    branch: Tensor | None = None  # (R, L) 0: shared by the row; k: of its k-th trajectory alone

    def to(self, device: torch.device) -> "InputRows":
        there = {name: x for name, x in self._asdict().items() if x is not None}
        return self._replace(**{n: x.to(device, non_blocking=True) for n, x in there.items()})

    def inputs(self) -> dict[str, Tensor | None]:
        """Return what a model is called with.

        Padding is on the right, where causal attention looks from no real token; where nothing is
        shared there is no mask, so that attention may use its fastest kernel.
        """
        if self.branch is None:
            return {"input_ids": self.input_ids}
        length = self.input_ids.shape[1]
        seen = self.branch[:, None, :] == 0
        seen = seen | (self.branch[:, :, None] == self.branch[:, None, :])
        earlier = torch.ones(length, length, dtype=torch.bool, device=seen.device).tril()
        return {
            "input_ids": self.input_ids,
            "position_ids": self.place,
            "attention_mask": (seen & earlier)[:, None],
        }


def collate(
    tokens: Sequence[Tokens], *, width: int | None = None, paired: bool = False
) -> InputRows:
    """Fill trajectories up on the right and point at the trained tokens of their completions.

    width: of the model's hidden states, where it can compute a beginning that several trajectories
    share once; it then does where that saves operations. None: each has a row of its own.
    paired: the two of a pair share a row, or none does; otherwise all of a prompt may.
    """
    whole = [each.whole for each in tokens]
    shared = None if width is None else shared_rows(tokens, whole, width, paired)
    rows = shared or [SharedRow([i], len(ids)) for i, ids in enumerate(whole)]
    home, shift = torch.zeros(2, len(tokens), dtype=torch.long)
    trunks = torch.zeros(len(tokens), dtype=torch.long)
    ids, places, branches = [], [], []
    for row, (members, trunk) in enumerate(rows):
        line, place, branch = whole[members[0]][:trunk], [*range(trunk)], [0] * trunk
        for number, member in enumerate(members, start=1):
            home[member], shift[member], trunks[member] = row, len(line) - trunk, trunk
            rest = whole[member][trunk:]
            line, branch = [*line, *rest], [*branch, *[number] * len(rest)]
            place += range(trunk, len(whole[member]))
        ids.append(line)
        places.append(place)
        branches.append(branch)
    input_ids = _padded(ids, FILLER)
    lengths = torch.tensor([len(line) for line in ids])
    attention = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
    trained = [torch.as_tensor(each.places()) for each in tokens]
    counts = torch.tensor([len(places) for places in trained])
    mask = torch.arange(int(counts.max())) < counts[:, None]
    of = torch.arange(len(tokens)).repeat_interleave(counts)

    def in_row(place: Tensor) -> Tensor:
        return torch.where(place < trunks[of], place, place + shift[of])

    target = torch.cat(trained)
    return InputRows(
        input_ids, attention, mask, home[of], in_row(target - 1),
        input_ids[home[of], in_row(target)], mask.flatten().nonzero()[:, 0],
        torch.tensor(sum(map(len, whole))),
        _padded(places, 0) if shared else None, _padded(branches, 0) if shared else None,
    )  # fmt: skip


def _padded(lines: list[list[int]], value: int) -> Tensor:
    length = max(map(len, lines))
    return torch.tensor([[*line, *[value] * (length - len(line))] for line in lines])


def spread(values: Tensor, rows: InputRows) -> Tensor:
    """Lay out what each trained token has, (N, ...), as (B, T, ...), 0 where the mask is False."""
    shape = values.shape[1:]
    places = values.new_zeros(rows.mask.numel(), *shape)
    # By places known before: a mask would be counted on the device, which then is waited for.
    return places.index_copy(0, rows.slot, values).view(*rows.mask.shape, *shape)


WORTHWHILE = 0.95  # of the operations without sharing


class SharedRow(NamedTuple):
    """Trajectories of one row: which they are, and how many tokens they share."""

    members: list[int]
    trunk: int


def shared_rows(
    tokens: Sequence[Tokens], whole: list[list[int]], width: int, paired: bool
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
        for i, each in enumerate(tokens):
            prompts.setdefault(tuple(each.prompt), []).append(i)
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
