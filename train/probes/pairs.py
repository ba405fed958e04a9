"""Pairs of a data set to measure on: fixed ones while a run trains, drawn ones afterwards."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from diagnostics.extrapolation.score import ProbeTokens
from diagnostics.extrapolation.snapshot import Snapshot, take_snapshot
from objectives import ADVANTAGES, Batch, Objective, token_log_probs
from objectives.errors import InputError
from train.data.input_rows import collate, spread
from train.data.micro_batches import MicroBatch, micro_batches
from train.data.offline import mean_length
from train.data.tokenized import TokenizedData, Tokens
from train.learning.learner import Learner
from train.models.language_model import LanguageModel

SEED = 20_250_919  # of the choice, the same in every run so that runs can be compared


@dataclass(frozen=True)
class ProbePairs:
    """P pairs as one micro-batch of 2P rows, chosen and rejected in turn."""

    micro: MicroBatch
    pairs: Tensor  # (P, 2) rows of the data set

    @torch.no_grad()
    def snapshot(self, policy: LanguageModel, precision: AbstractContextManager) -> Snapshot:
        """Return a copy of a policy at the probes; precision: the context of its forward pass."""
        with precision:
            hidden = policy.hidden(self.micro.rows.to(policy.model.device))
        return take_snapshot(hidden, policy.head)

    @property
    def tokens(self) -> ProbeTokens:
        """The sampled tokens at the probe positions, in the order of the mask."""
        return ProbeTokens(self.micro.rows.targets, self.micro.rows.mask)


def probe_pairs(
    encoded: TokenizedData, reward: Tensor, count: int, pad_id: int
) -> ProbePairs | None:
    """Choose up to `count` pairs, of as many different prompts as there are; None without pairs.

    reward: (N,) what the objective sees, for every row of the TokenizedData.
    Draws from a generator of its own, so that training draws what it would without.
    """
    pairs = encoded.all_pairs()
    if not len(pairs):
        return None
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(SEED))
    _, group, size = encoded.group[pairs[order, 0]].unique(return_inverse=True, return_counts=True)
    together = group.argsort(stable=True)
    before = torch.empty_like(group)  # how many pairs of the same prompt came before
    before[together] = torch.arange(len(group)) - (size.cumsum(0) - size)[group[together]]
    order = order[before.argsort(stable=True)][:count]
    chosen = pairs[order.sort().values]
    length = mean_length(encoded, chosen.flatten())
    (micro,) = micro_batches(encoded, reward, [chosen], pad_id, length)
    return ProbePairs(micro, chosen)


def require_probes(
    encoded: TokenizedData, reward: Tensor, count: int, pad_id: int, flag: str, remedy: str = ""
) -> ProbePairs:
    """Return `probe_pairs`. Raises InputError naming the flag where there are none."""
    probes = probe_pairs(encoded, reward, count, pad_id)
    if probes is None:
        raise InputError(
            f"{flag} looks at pairs of a correct and an incorrect trajectory of one prompt, of "
            f"which the data have none{remedy}"
        )
    return probes


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
