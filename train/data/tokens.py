"""Trajectories as token ids: one by one, and a whole data set's in one array."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

ROWS_AT_ONCE = 4096


class Tokens(NamedTuple):
    """Ids of a prompt and of its completion, end of sequence included unless it was truncated."""

    prompt: list[int]
    completion: list[int]

    @property
    def whole(self) -> list[int]:
        return [*self.prompt, *self.completion]


class FlatTokens(Sequence[Tokens]):
    """Trajectories one after the other in one array of ids, which may lie on disk.

    A million Python lists take gigabytes; here a row becomes `Tokens` when it is asked for.
    """

    def __init__(self, ids: Tensor, prompts: Tensor, completions: Tensor):
        """ids: (tokens,) int32, of each row its prompt, then its completion.

        prompts, completions: (N,) how many tokens of each.
        """
        self.ids = ids
        self.prompts, self.completions = prompts.long(), completions.long()
        self.lengths = self.prompts + self.completions
        self.starts = self.lengths.cumsum(0) - self.lengths

    @classmethod
    def of(cls, rows: Iterable[Tokens]) -> "FlatTokens":
        """Put rows one after the other."""
        rows = list(rows)
        prompts = torch.tensor([len(prompt) for prompt, _ in rows], dtype=torch.long)
        completions = torch.tensor([len(completion) for _, completion in rows], dtype=torch.long)
        return cls(torch.from_numpy(flat(rows)), prompts, completions)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Tokens: ...

    @overload
    def __getitem__(self, index: slice) -> "FlatTokens": ...

    def __getitem__(self, index: int | slice) -> "Tokens | FlatTokens":
        if isinstance(index, slice):
            return FlatTokens.of(self[i] for i in range(*index.indices(len(self))))
        start, length = int(self.starts[index]), int(self.lengths[index])
        ids = self.ids[start : start + length].tolist()
        prompt = int(self.prompts[index])
        return Tokens(ids[:prompt], ids[prompt:])

    def parts(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield all that rows (R,) hold, part by part: lengths of both sides, and ids."""
        for part in rows.split(ROWS_AT_ONCE):
            lengths = self.lengths[part]
            first = (self.starts[part] - (lengths.cumsum(0) - lengths)).repeat_interleave(lengths)
            yield torch.stack([self.prompts[part], self.completions[part]])
            yield self.ids[first + torch.arange(len(first))]


def flat(rows: Iterable[Tokens]) -> np.ndarray:
    """Return the ids of rows one after the other, (tokens,) int32."""
    return np.fromiter(chain.from_iterable(chain.from_iterable(rows)), dtype=np.int32)
