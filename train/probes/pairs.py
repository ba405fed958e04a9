"""Pairs of a data set to measure on: fixed ones while a run trains, drawn ones afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from diagnostics.entanglement.measure import ProbeLogProbs, SampledPairs
from diagnostics.extrapolation.score import ProbeTokens
from diagnostics.extrapolation.snapshot import Snapshot, take_snapshot
from objectives import Head, token_log_probs
from objectives.errors import InputError
from train.data.input_rows import InputRows, collate, spread
from train.data.micro_batches import MicroBatch, micro_batch
from train.data.offline import mean_length
from train.data.tokenized import TokenizedData, Tokens
from train.models.language_model import LanguageModel

SEED = 20_250_919  # of the choice, the same in every run so that runs can be compared


def spread_pairs(data: TokenizedData, count: int) -> SampledPairs:
    """Choose up to `count` pairs, of as many different prompts as there are, in the data's order.

    Draws from a generator of its own, so that training draws what it would without.
    """
    pairs = data.all_pairs()
    order = shuffled(torch.arange(len(pairs)), SEED)
    _, group, size = data.group[pairs[order, 0]].unique(return_inverse=True, return_counts=True)
    together = group.argsort(stable=True)
    before = torch.empty_like(group)  # how many pairs of the same prompt came before
    before[together] = torch.arange(len(group)) - (size.cumsum(0) - size)[group[together]]
    order = order[before.argsort(stable=True)][:count]
    return _sampled(data, pairs, order.sort().values)


def drawn_pairs(data: TokenizedData, count: int, seed: int) -> SampledPairs:
    """Draw `count` pairs without repeats, or take all if there are fewer; shortest first.

    The pairs are those of the data, or made from its rollouts as in training. Raises InputError
    where there are none, with the reason.
    """
    pairs = data.all_pairs()
    if not len(pairs):
        correct = int((data.reward > 0).sum())
        left = "; ".join(f"{n} left out: {why}" for why, n in data.left_out.items())
        raise InputError(
            f"there are no pairs to measure: of {len(data.tokens)} trajectories {correct} are "
            f"correct (reward above 0), and a pair needs a correct and an incorrect one of one "
            f"prompt{' (' + left + ')' if left else ''}"
        )
    drawn = shuffled(torch.arange(len(pairs)), seed)[:count]
    longest = data.tokens.lengths[pairs[drawn]].amax(1)
    return _sampled(data, pairs, drawn[longest.argsort(stable=True)])


def shuffled(rows: Tensor, seed: int) -> Tensor:
    """Return the first dimension's rows in an order drawn from a generator of its own."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]


def _sampled(data: TokenizedData, pairs: Tensor, number: Tensor) -> SampledPairs:
    index = rearrange(pairs[number], "pair side -> (pair side)")
    return SampledPairs(number, index, [data.tokens[i] for i in index.tolist()], len(pairs))


@dataclass(frozen=True)
class ProbePairs:
    """P pairs as one micro-batch of 2P rows, chosen and rejected in turn."""

    micro: MicroBatch
    pairs: SampledPairs

    @torch.no_grad()
    def snapshot(self, policy: LanguageModel) -> Snapshot:
        """Return a copy of a policy at the probes."""
        hidden = policy.hidden(self.micro.rows.to(policy.model.device))
        return take_snapshot(hidden, policy.head)

    @property
    def positions(self) -> int:
        """How many tokens of completions there are."""
        return int(self.micro.rows.mask.sum())

    @property
    def tokens(self) -> ProbeTokens:
        """The sampled tokens at the probe positions, in the order of the mask."""
        return ProbeTokens(self.micro.rows.targets, self.micro.rows.mask)


def require_probes(
    data: TokenizedData, reward: Tensor, count: int, flag: str, remedy: str = ""
) -> ProbePairs:
    """Return up to `count` pairs of `spread_pairs` as probes.

    reward: (N,) what the objective sees, for every row of the data. Raises InputError naming the
    flag where the data have no pairs.
    """
    pairs = spread_pairs(data, count)
    if not pairs.total:
        raise InputError(
            f"{flag} looks at pairs of a correct and an incorrect trajectory of one prompt, of "
            f"which the data have none{remedy}"
        )
    rows = rearrange(pairs.index, "(pair side) -> pair side", side=2)
    return ProbePairs(micro_batch(data, reward, rows, mean_length(data, pairs.index)), pairs)


class Read(NamedTuple):
    """Rows as the policy and the reference read them: what every λ is computed from."""

    rows: InputRows
    policy: tuple[Tensor, Head]  # final hidden states (N, d), and the output head
    reference: tuple[Tensor, Head]
    origin: tuple[Tensor, Head] | None  # of the future policy, where that is not the reference

    @torch.no_grad()
    def log_probs(self, lam: float) -> ProbeLogProbs:
        """Return the rows' log-probs under policy, reference and the future policy of λ."""
        (hidden, head), rows = self.policy, self.rows
        out = token_log_probs(
            hidden,
            head,
            rows.targets,
            reference=self.reference,
            origin=self.origin,
            lam=lam,
            collision=True,
        )
        assert out.reference is not None  # both were asked for
        assert out.future is not None
        assert out.collision is not None
        assert out.future_collision is not None
        found = out.policy, out.reference, out.future, out.collision, out.future_collision
        values = (spread(x, rows) for x in found)
        return ProbeLogProbs(rows.mask, spread(hidden, rows), *values)


@torch.no_grad()
def read_probes(
    tokens: Sequence[Tokens],
    policy: LanguageModel,
    reference: LanguageModel,
    origin: LanguageModel | None = None,
) -> Read:
    """Read rows by a forward pass of each model.

    origin: what the future policy is extrapolated from, by default the reference.
    """
    rows = collate(list(tokens)).to(policy.model.device)
    hidden = policy.hidden(rows)
    before = hidden if reference is policy else reference.hidden(rows)
    other = None if origin is None or origin is reference else (origin.hidden(rows), origin.head)
    return Read(rows, (hidden, policy.head), (before, reference.head), other)
