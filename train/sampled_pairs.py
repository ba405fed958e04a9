"""Pairs of a data set to measure on, and what an objective needs to know of them."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from objectives import ADVANTAGES, Batch, Objective, token_log_probs
from objectives.errors import InputError
from train.dataset import TokenizedData, Tokens
from train.language_model import LanguageModel, spread
from train.rows import collate
from train.step import Learner


class SampledPairs(NamedTuple):
    """N pairs of a data set, 2N rows: chosen and rejected in turn."""

    number: Tensor  # (N,) of each pair among all that the data set has
    index: Tensor  # (2N,) rows of the TokenizedData
    tokens: list[Tokens]  # of the 2N rows
    total: int  # pairs of the data set

    def slice(self, start: int, stop: int) -> "SampledPairs":
        rows = slice(2 * start, 2 * stop)
        return SampledPairs(
            self.number[start:stop], self.index[rows], self.tokens[rows], self.total
        )


class ProbeLogProbs(NamedTuple):
    """Of the 2N rows of probe pairs, token by token, 0 in padding."""

    mask: Tensor  # (2N, T) bool
    hidden: Tensor  # (2N, T, d) the policy's final hidden states that predict the tokens
    policy: Tensor  # (2N, T)
    reference: Tensor  # (2N, T)
    future: Tensor  # (2N, T)


def sample_pairs(encoded: TokenizedData, count: int, seed: int) -> SampledPairs:
    """Draw `count` pairs without repeats, or take all if there are fewer; shortest first.

    The pairs are those of the data, or made from its rollouts as in training. Raises InputError
    where there are none, with the reason.
    """
    pairs = encoded.all_pairs()
    if not len(pairs):
        correct = int((encoded.reward > 0).sum())
        left = "; ".join(f"{n} left out: {why}" for why, n in encoded.left_out.items())
        raise InputError(
            f"there are no pairs to measure: of {len(encoded.tokens)} trajectories {correct} are "
            f"correct (reward above 0), and a pair needs a correct and an incorrect one of one "
            f"prompt{' (' + left + ')' if left else ''}"
        )
    drawn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))[:count]
    number = drawn[encoded.tokens.lengths[pairs[drawn]].amax(1).argsort(stable=True)]
    index = pairs[number].flatten()
    return SampledPairs(number, index, [encoded.tokens[i] for i in index.tolist()], len(pairs))


@torch.no_grad()
def probe_log_probs(
    tokens: list[Tokens], policy: LanguageModel, reference: LanguageModel, lam: float, pad: int
) -> ProbeLogProbs:
    """Return the rows' log-probs under policy, reference and future policy, by a forward pass."""
    rows = collate(tokens, pad).to(policy.model.device)
    hidden = policy.hidden(rows)
    before = hidden if reference is policy else reference.hidden(rows)
    out = token_log_probs(
        hidden, policy.head, rows.targets, reference=(before, reference.head), lam=lam
    )
    spread_hidden = hidden.new_zeros(*rows.mask.shape, hidden.shape[-1])
    spread_hidden[rows.mask] = hidden
    values = (spread(x, rows) for x in (out.policy, out.reference, out.future))
    return ProbeLogProbs(rows.mask, spread_hidden, *values)


def join_log_probs(parts: list[ProbeLogProbs]) -> Batch:
    """Return the parts' rows as one batch; its `anchor` field holds the policy's log-probs."""
    width = max(part.mask.shape[1] for part in parts)

    def joined(name: str) -> Tensor:
        columns = [getattr(part, name) for part in parts]
        padded = [torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in columns]
        return torch.cat(padded)

    mask = joined("mask")
    return Batch(
        mask=mask,
        anchor=joined("policy"),
        reference=joined("reference"),
        future=joined("future"),
        pairs=torch.arange(len(mask), device=mask.device).view(-1, 2),
    )


def objective_batch(
    batch: Batch,
    objective: Objective,
    encoded: TokenizedData,
    index: Tensor,
    divergence: Tensor | None,
) -> Batch:
    """Return the batch of probe pairs as one objective wants it.

    batch: of `join_log_probs`; index: (2N,) rows of the TokenizedData. divergence: KTO's z0.
    An anchor is the policy itself where the objective renews it during training (as if an outer
    step began here), and otherwise the reference, which sampled the data.
    """
    device = batch.mask.device
    reward = ADVANTAGES[objective.advantage](encoded.reward, encoded.group)
    anchor = batch.anchor if objective.settings.get("period") else batch.reference
    mean_length = batch.mask.sum() / len(batch.mask)
    return batch._replace(
        anchor=anchor,
        previous_anchor=anchor,
        reward=reward[index].to(device),
        group=encoded.group[index].to(device),
        weight=encoded.weight[index].to(device),
        divergence=None if divergence is None else divergence.expand(len(index)),
        mean_length=mean_length.expand(len(index)),
    )


def probe_divergence(
    objective: Objective,
    encoded: TokenizedData,
    index: Tensor,
    policy: LanguageModel,
    reference: LanguageModel,
    pad: int,
) -> Tensor | None:
    """Return KTO's z0 over the probe rows; None for objectives that need none.

    Raises InputError where all rows are of one prompt, so that none can be mismatched.
    """
    if "divergence" not in objective.needs:
        return None
    if len(encoded.group[index].unique()) < 2:
        raise InputError(
            f"--objective {objective.name} compares with other prompts' completions, and all "
            f"pairs are of one prompt: ask for more with --pairs"
        )
    learner = Learner(objective, {}, None, policy, reference, None, nullcontext())
    return learner.divergence(encoded, index, 32, pad)
