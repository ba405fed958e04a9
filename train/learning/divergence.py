"""KTO's z0: how far the policy is from the reference on completions of other prompts."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from objectives import mismatch
from objectives.errors import InputError
from train.data.input_rows import collate
from train.data.tokenized import TokenizedData
from train.data.tokens import Tokens
from train.models.language_model import LanguageModel

Parts = Sequence[Tensor]


def every(parts: Parts) -> Iterable[tuple[Tensor, bool]]:
    """Return all parts, each to be counted: the share of one process that is alone."""
    return ((part, True) for part in parts)


def mismatched_ratios(
    policy: LanguageModel,
    reference: LanguageModel,
    data: TokenizedData,
    index: Tensor,
    rows_at_once: int,
    share: Callable[[Parts], Iterable[tuple[Tensor, bool]]] = every,
) -> Tensor:
    """Return log-ratios of prompts with completions not theirs, (N,), for KTO's z0 (2402.01306).

    index: (N,) rows of the data, of a whole optimizer batch. share: which parts of them to compute,
    and whether each counts; what is not computed is 0.
    Raises InputError where all rows have one prompt.
    """
    try:
        partners = index[mismatch(data.group[index])]
    except ValueError as error:
        raise InputError(f"--batch-size {len(index)}: {error}") from None
    device = policy.model.device
    ratios = torch.zeros(len(index), device=device)
    for places, counted in share(torch.arange(len(index)).split(rows_at_once)):
        pairs = zip(index[places].tolist(), partners[places].tolist(), strict=True)
        tokens = [_mismatched(data, own, other) for own, other in pairs]
        rows = collate(tokens).to(device)
        ratio = policy.log_probs(rows) - reference.log_probs(rows)
        if counted:
            ratios = ratios.to(ratio.dtype)  # float64 of a float64 policy
            ratios[places.to(device)] = ratio.sum(-1)
    return ratios


def _mismatched(data: TokenizedData, own: int, other: int) -> Tokens:
    prompt, (_, completion, trained) = data.tokens[own].prompt, data.tokens[other]
    room = data.max_tokens - len(prompt)
    return Tokens(prompt, completion[:room], trained and trained[:room])
