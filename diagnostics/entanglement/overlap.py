"""Which tokens two completions share: common prefix, alignment, edit distance, bags of tokens."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from rapidfuzz.distance import LCSseq, Levenshtein
from torch import Tensor

TokenIds = Sequence[int] | Tensor


class Overlap(NamedTuple):
    """What completion a (n tokens) has in common with completion b (m tokens).

    A token is shared if it belongs to the longest common subsequence, otherwise distinct.
    """

    prefix: int  # tokens of the longest common prefix
    aligned: Tensor  # (K, 2) positions in a and in b of the longest common subsequence
    shared_a: Tensor  # (n,) bool
    shared_b: Tensor  # (m,) bool
    overlap: float  # 2 K / (n + m), in [0, 1]
    bag_overlap: float  # 2 |multiset intersection| / (n + m), in [overlap, 1]
    edit_distance: float  # insertions, deletions, substitutions over max(n, m), in [0, 1]

    @property
    def distinct_a(self) -> Tensor:
        return ~self.shared_a

    @property
    def distinct_b(self) -> Tensor:
        return ~self.shared_b


def token_overlap(a: TokenIds, b: TokenIds) -> Overlap:
    """Align two completions (arXiv 2410.13828 splits gradients by such an alignment).

    The common prefix is always aligned with itself, the rest by a longest common subsequence
    (bit-parallel, by rapidfuzz: thousands of tokens take milliseconds).

    a, b: (n,) and (m,) token ids, as lists or tensors.
    Raises ValueError where a side has no tokens or is not one row of token ids.
    """
    a, b = _ids(a, "first"), _ids(b, "second")
    prefix = common_prefix(a, b)
    blocks = [(0, 0, prefix)] if prefix else []
    for block in LCSseq.opcodes(a[prefix:], b[prefix:]):
        if block.tag == "equal":
            size = block.src_end - block.src_start
            blocks.append((prefix + block.src_start, prefix + block.dest_start, size))
    aligned = [(i + k, j + k) for i, j, size in blocks for k in range(size)]
    aligned = torch.tensor(aligned, dtype=torch.long).view(-1, 2)
    total = len(a) + len(b)
    return Overlap(
        prefix,
        aligned,
        _marked(aligned[:, 0], len(a)),
        _marked(aligned[:, 1], len(b)),
        2 * len(aligned) / total,
        2 * (Counter(a) & Counter(b)).total() / total,
        Levenshtein.distance(a, b) / max(len(a), len(b)),
    )


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the number of tokens before the first difference."""
    both = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(both) if x != y), min(len(a), len(b)))


def _ids(tokens: TokenIds, side: str) -> list[int]:
    ids = tokens.tolist() if isinstance(tokens, Tensor) else list(tokens)
    if not isinstance(ids, list) or any(isinstance(x, list) for x in ids):
        raise ValueError(f"the {side} completion must be one row of token ids")
    if not ids:
        raise ValueError(f"the {side} completion of the pair has no tokens: nothing to align")
    return ids


def _marked(positions: Tensor, length: int) -> Tensor:
    return torch.zeros(length, dtype=torch.bool).index_fill_(0, positions, True)
