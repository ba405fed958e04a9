"""Rows that are held out: split off by prompt, and how many prompts are trained on all the same."""

import torch
from torch import Tensor

from objectives.errors import InputError
from train.data.tokenized import TokenizedData

SPLIT_SEED = 20251126


def split_by_prompt(data: TokenizedData, fraction: float) -> tuple[TokenizedData, TokenizedData]:
    """Return what is trained on, and what is held out: all rows of a share of the prompts.

    The prompts are drawn by a generator of its own, the same ones for every run. What was left out
    is told of the part that is trained on. Raises InputError where one of the parts would be empty.
    """
    groups = data.group.unique()
    count = round(fraction * len(groups))
    if not 0 < count < len(groups):
        raise InputError(
            f"--eval-fraction {fraction:g}: of {len(groups)} prompts it would hold out {count}"
        )
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(SPLIT_SEED))
    held = torch.isin(data.group, groups[order[:count]])
    rest, out = (subset(data, mask.nonzero().flatten()) for mask in (~held, held))
    return rest, out._replace(left_out={}, notes=())


def subset(data: TokenizedData, rows: Tensor) -> TokenizedData:
    """Return the data of some rows (R,) alone, in ascending order, and the pairs among them."""
    pairs = data.pairs
    if pairs is not None:
        place = torch.full((len(data.tokens),), -1)
        place[rows] = torch.arange(len(rows))
        pairs = place[pairs]
        pairs = pairs[(pairs >= 0).all(1)]
    return data._replace(
        tokens=data.tokens.rows(rows),
        reward=data.reward[rows],
        group=data.group[rows],
        weight=data.weight[rows],
        pairs=pairs,
    )


def shared_prompts(data: TokenizedData, held_out: TokenizedData) -> int:
    """Return how many prompts of the held-out rows are trained on, by their tokens."""
    own, other = (_prompts(part) for part in (data, held_out))
    return len(own & other)


def _prompts(data: TokenizedData) -> set[tuple[int, ...]]:
    _, index = torch.unique(data.group, return_inverse=True)
    first = torch.full((int(index.max()) + 1,), len(index)) if len(index) else index
    first = first.scatter_reduce(0, index, torch.arange(len(index)), "amin")
    return {tuple(data.tokens[row].prompt) for row in first.tolist()}
