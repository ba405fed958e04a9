"""Gradient entanglement of pairs of a data set, under a policy and its reference."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from torch import Tensor, nn
from tqdm.auto import tqdm

from diagnostics.entanglement.ches import Ches, ches
from diagnostics.entanglement.coefficients import (
    PairCoefficients,
    coefficients_now_and_ahead,
    pair_coefficients,
)
from diagnostics.entanglement.gram import GRADIENT_ELEMENTS, pair_grams
from diagnostics.entanglement.head import head_gram, head_pair_grams
from diagnostics.entanglement.overlap import Overlap, token_overlap
from diagnostics.entanglement.parts import part_weights
from diagnostics.entanglement.table import objective_columns, pair_table, whole_products
from diagnostics.entanglement.token_matrix import cosines, token_gram
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import TokenIds, learnt, pack
from objectives import Batch, Head, Objective

HEAD = "head"  # of `which`: the output head's weight alone, in closed form
PAIRS_AT_ONCE = 16
MOST_TOKENS = 60  # of a side that a picture can name


class SampledPairs(NamedTuple):
    """N pairs of a data set, 2N rows: chosen and rejected in turn."""

    number: Tensor  # (N,) of each pair among all that the data set has
    index: Tensor  # (2N,) rows of the data set
    tokens: Sequence[TokenIds]  # of the 2N rows
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
    collision: Tensor  # (2N, T)
    future_collision: Tensor  # (2N, T)


Look = Callable[[Sequence[TokenIds]], ProbeLogProbs]


class MeasuredPairs(NamedTuple):
    pairs: SampledPairs
    prompts: list[str]  # (N,)
    which: str  # the parameters
    overlaps: list[Overlap]  # (N,)
    gram: Tensor  # (N, 8, 8) of `pair_grams` with `part_weights`
    ches: Ches
    batch: Batch  # of `join_log_probs`

    def table(self, columns: list[pd.DataFrame]) -> pd.DataFrame:
        """Return the pairs' table with objectives' columns beside it, in the data's order."""
        first = pd.DataFrame({"pair": self.pairs.number.tolist(), "prompt": self.prompts})
        whole = pd.concat(
            [first, pair_table(self.gram, self.overlaps, self.ches), *columns], axis=1
        )
        return whole.sort_values("pair")


def measure_pairs(
    model: nn.Module,
    head: Head,
    pairs: SampledPairs,
    prompts: list[str],
    which: str,
    look: Look,
) -> MeasuredPairs:
    """Measure pairs, a few at a time under a progress bar.

    model, head: the policy, a causal model, and its output head. prompts: (N,) texts, for the
    table. which: `head` for the output head's weight alone, in closed form; otherwise as
    `select_parameters` has it. look: from the token ids of rows to what the models say of them.
    Raises ValueError where `which` names no parameters.
    """
    parameters = select_parameters(model, which)
    overlaps, grams, scores, log_probs = [], [], [], []
    with tqdm(total=len(pairs.number), desc="entanglement", unit="pair", dynamic_ncols=True) as bar:
        for start in range(0, len(pairs.number), PAIRS_AT_ONCE):
            part = pairs.slice(start, start + PAIRS_AT_ONCE)
            trajectories = pack(part.tokens).to(_device(model))
            completions = [learnt(row) for row in part.tokens]
            sides = zip(completions[::2], completions[1::2], strict=True)
            shared = [token_overlap(chosen, rejected) for chosen, rejected in sides]
            weights = part_weights(trajectories, shared)
            values = look(part.tokens)
            if which == HEAD:
                gram = head_pair_grams(values.hidden, head, trajectories.targets, weights)
            else:
                gram = pair_grams(model, trajectories, weights, parameters)
            overlaps += shared
            grams.append(gram.cpu())
            scores.append(Ches(*(x.cpu() for x in ches(values.hidden, values.mask))))
            log_probs.append(values._replace(hidden=values.hidden[..., :0]))
            bar.update(len(part.number))
    joined = Ches(*(torch.cat(column) for column in zip(*scores, strict=True)))
    return MeasuredPairs(
        pairs, prompts, which, overlaps, torch.cat(grams), joined, join_log_probs(log_probs)
    )


def join_log_probs(parts: list[ProbeLogProbs]) -> Batch:
    """Return the parts' rows as one batch; its `anchor` field holds the policy's log-probs."""
    width = max(part.mask.shape[1] for part in parts)

    def joined(name: str) -> Tensor:
        columns = [getattr(part, name) for part in parts]
        padded = [nn.functional.pad(x, (0, width - x.shape[1])) for x in columns]
        return torch.cat(padded)

    mask = joined("mask")
    rows = torch.arange(len(mask), device=mask.device)
    return Batch(
        mask=mask,
        anchor=joined("policy"),
        reference=joined("reference"),
        future=joined("future"),
        collision=joined("collision"),
        future_collision=joined("future_collision"),
        pairs=rearrange(rows, "(pair side) -> pair side", side=2),
    )


def objective_batch(
    batch: Batch,
    reward: Tensor,
    group: Tensor,
    weight: Tensor,
    solve_rate: Tensor,
    *,
    anchors: tuple[Tensor, Tensor],
    divergence: Tensor | None = None,
) -> Batch:
    """Return the batch of probe pairs as one objective wants it.

    batch: of `join_log_probs`. reward, group, weight: (2N,), the reward as the objective sees it.
    solve_rate: (2N,), over all of each prompt's trajectories.
    anchors: (2N, T) log-probs under the anchor and the one before. divergence: KTO's z0.
    """
    rows, device = len(batch.mask), batch.mask.device
    mean_length = batch.mask.sum() / rows
    anchor, previous = anchors
    return batch._replace(
        anchor=anchor,
        previous_anchor=previous,
        reward=reward.to(device),
        group=group.to(device),
        weight=weight.to(device),
        solve_rate=solve_rate.to(device),
        divergence=None if divergence is None else divergence.expand(rows),
        mean_length=mean_length.expand(rows),
        # Not among what coefficients weigh, and so none of them depends on it.
        future_divergence=torch.zeros_like(anchor),
    )


def coefficient_columns(
    measured: MeasuredPairs, objective: Objective, batch: Batch, hyper: Mapping
) -> pd.DataFrame:
    """Return an objective's columns: its ratio and the regime, at each of TIMES.

    batch: of `objective_batch`. hyper: hyper-parameters that differ from the objective's defaults.
    """
    policy, loss = measured.batch.anchor, objective.loss
    times = (
        *coefficients_now_and_ahead(loss, policy, batch, **hyper),
        pair_coefficients(loss, policy, batch, **hyper),
    )
    on_cpu = [PairCoefficients(*(x.cpu() for x in each)) for each in times]
    of = whole_products(measured.gram, measured.overlaps)
    return objective_columns(of, objective.name, *on_cpu)


class TokenCosines(NamedTuple):
    """Of one pair's tokens, those that a picture can name; n of the chosen, m of the rejected."""

    cosines: np.ndarray  # (n, m) of the tokens' gradients
    chosen: list[tuple[int, bool]]  # (n,) ids, and whether both completions share the token
    rejected: list[tuple[int, bool]]  # (m,)


def token_cosines(
    model: nn.Module, head: Head, measured: MeasuredPairs, number: int, look: Look
) -> TokenCosines:
    """Return how the gradients of one pair's tokens agree, chosen with rejected.

    model, head, look: as in `measure_pairs`. number: which of the measured pairs. Of long
    completions, MOST_TOKENS tokens a side from a little before the two part.
    """
    part, overlap = measured.pairs.slice(number, number + 1), measured.overlaps[number]
    start = 0
    if max(len(overlap.shared_a), len(overlap.shared_b)) > MOST_TOKENS:
        start = max(0, overlap.prefix - MOST_TOKENS // 4)
    window = slice(start, start + MOST_TOKENS)
    trajectories = pack(part.tokens).to(_device(model))
    mask = torch.zeros_like(trajectories.mask)
    mask[:, window] = trajectories.mask[:, window]
    trajectories = trajectories._replace(mask=mask)
    if measured.which == HEAD:
        hidden = look(part.tokens).hidden
        gram = head_gram(hidden[mask], head, trajectories.targets[mask])
    else:
        parameters = select_parameters(model, measured.which)
        size = sum(p.numel() for p in parameters.values())
        at_once = max(1, min(8, GRADIENT_ELEMENTS // size))
        with tqdm(
            total=int(mask.sum()), desc="token matrix", unit="token", dynamic_ncols=True
        ) as bar:
            gram = token_gram(
                model, trajectories, parameters, tokens_at_once=at_once, progress=bar.update
            )
    count = int(mask[0].sum())
    shown = cosines(gram)[:count, count:].cpu().numpy()
    chosen, rejected = (
        list(zip(learnt(row), shared.tolist(), strict=True))[window]
        for row, shared in zip(part.tokens, (overlap.shared_a, overlap.shared_b), strict=True)
    )
    return TokenCosines(shown, chosen, rejected)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
