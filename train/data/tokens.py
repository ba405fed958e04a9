"""Trajectories as token ids: one by one, and a whole data set's in one array."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

ROWS_AT_ONCE = 4096


class Tokens(NamedTuple):
    """Ids of a prompt and of its completion, the end included unless it was truncated."""

    prompt: list[int]
    completion: list[int]
    trained: list[bool] | None = None  # which of the completion's: None, all; else the first is

    @property
    def whole(self) -> list[int]:
        return [*self.prompt, *self.completion]

    @property
    def learnt(self) -> list[int]:
        """The completion's ids without those that others wrote: users, tools, the template."""
        return list(compress(self.completion, self.trained or [True] * len(self.completion)))

    def places(self) -> Sequence[int]:
        """Return where in the whole the ids stand that are trained."""
        start, stop = len(self.prompt), len(self.prompt) + len(self.completion)
        every = range(start, stop)
        return every if self.trained is None else list(compress(every, self.trained))


class FlatTokens(Sequence[Tokens]):
    """Trajectories one after the other in one array of ids, which may lie on disk.

    A million Python lists take gigabytes; here a row becomes `Tokens` when it is asked for.
    """

    def __init__(self, ids: Tensor, prompts: Tensor, completions: Tensor, trained: Tensor):
        """ids: (tokens,) int32, of each row its prompt, then its completion, as `flat` has them.

        prompts, completions: (N,) how many tokens of each. trained: (N,) of the completion's.
        """
        self.ids = ids
        self.prompts, self.completions = prompts.long(), completions.long()
        self.trained = trained.long()
        self.lengths = self.prompts + self.completions
        self.starts = self.lengths.cumsum(0) - self.lengths

    @classmethod
    def of(cls, rows: Iterable[Tokens]) -> "FlatTokens":
        """Put rows one after the other."""
        rows = list(rows)
        counts = [(len(row.prompt), len(row.completion), len(row.places())) for row in rows]
        columns = torch.tensor(counts, dtype=torch.long).view(-1, 3).unbind(1)
        return cls(torch.from_numpy(flat(rows)), *columns)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Tokens: ...

    @overload
    def __getitem__(self, index: slice) -> "FlatTokens": ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return FlatTokens.of(self[i] for i in range(*index.indices(len(self))))
        start, length = int(self.starts[index]), int(self.lengths[index])
        ids = self.ids[start : start + length].tolist()
        prompt = int(self.prompts[index])
        if self.trained[index] == self.completions[index]:
            return Tokens(ids[:prompt], ids[prompt:])
        completion = [~token if token < 0 else token for token in ids[prompt:]]
        return Tokens(ids[:prompt], completion, [token >= 0 for token in ids[prompt:]])

    def rows(self, index: Tensor) -> "FlatTokens":
        """Return the trajectories at `index` (R,) alone."""
        ids = [part for part in self.parts(index) if part.dim() == 1]  # the others are lengths
        return FlatTokens(
            torch.cat([self.ids[:0], *ids]),
            self.prompts[index], self.completions[index], self.trained[index],
        )  # fmt: skip

    def parts(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield all that rows (R,) hold, part by part: lengths of both sides, and ids."""
        for part in rows.split(ROWS_AT_ONCE):
            lengths = self.lengths[part]
            first = (self.starts[part] - (lengths.cumsum(0) - lengths)).repeat_interleave(lengths)
            yield torch.stack([self.prompts[part], self.completions[part]])
            yield self.ids[first + torch.arange(len(first))]


def flat(rows: Iterable[Tokens]) -> np.ndarray:
    """Return the ids of rows one after the other, (tokens,) int32.

    An id of a completion that is not trained stands as its complement, below 0.
    """
    return np.fromiter(chain.from_iterable(map(_signed, rows)), dtype=np.int32)


def _signed(row: Tokens) -> Iterable[int]:
    if row.trained is None:
        return chain(row.prompt, row.completion)
    marked = zip(row.completion, row.trained, strict=True)
    return chain(row.prompt, (token if learn else ~token for token, learn in marked))
