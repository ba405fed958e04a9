"""Gradient entanglement of pairs of a data set, under a policy and its reference."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from diagnostics.entanglement.ches import Ches, ches
from diagnostics.entanglement.coefficients import coefficients_now_and_ahead
from diagnostics.entanglement.gram import GRADIENT_ELEMENTS, pair_grams
from diagnostics.entanglement.head import head_gram, head_pair_grams
from diagnostics.entanglement.overlap import Overlap, token_overlap
from diagnostics.entanglement.parts import part_weights
from diagnostics.entanglement.table import objective_columns, pair_table, whole_products
from diagnostics.entanglement.token_matrix import cosines, token_gram
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import pack
from objectives import OBJECTIVES, Batch
from objectives.errors import InputError
from train.data.tokenized import TokenizedData
from train.models.language_model import LanguageModel
from train.probes.pairs import (
    SampledPairs,
    join_log_probs,
    objective_batch,
    probe_divergence,
    probe_log_probs,
)

PAIRS_AT_ONCE = 16
MOST_TOKENS = 60  # of a side that a picture can name


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
    tokenizer: PreTrainedTokenizerBase,
    base: LanguageModel,
    policy: LanguageModel,
    pairs: SampledPairs,
    which: str,
    lam: float,
) -> MeasuredPairs:
    """Measure pairs, a few at a time under a progress bar.

    which: `head` for the output head's weight alone, in closed form; otherwise as
    `select_parameters` has it. lam: λ of the future policy.
    Raises InputError where it names no parameters.
    """
    parameters = _parameters(policy.model, which)
    pad = tokenizer.pad_token_id
    overlaps, grams, scores, log_probs = [], [], [], []
    with tqdm(total=len(pairs.number), desc="entanglement", unit="pair", dynamic_ncols=True) as bar:
        for start in range(0, len(pairs.number), PAIRS_AT_ONCE):
            part = pairs.slice(start, start + PAIRS_AT_ONCE)
            trajectories = pack(part.tokens).to(policy.model.device)
            sides = zip(part.tokens[::2], part.tokens[1::2], strict=True)
            shared = [token_overlap(w.completion, x.completion) for w, x in sides]
            weights = part_weights(trajectories, shared)
            values = probe_log_probs(part.tokens, policy, base, lam, pad)
            if which == "head":
                gram = head_pair_grams(values.hidden, policy.head, trajectories.targets, weights)
            else:
                gram = pair_grams(policy.model, trajectories, weights, parameters)
            overlaps += shared
            grams.append(gram.cpu())
            scores.append(Ches(*(x.cpu() for x in ches(values.hidden, values.mask))))
            log_probs.append(values._replace(hidden=values.hidden[..., :0]))
            bar.update(len(part.number))
    prompts = [
        tokenizer.decode(prompt, skip_special_tokens=True) for prompt, _ in pairs.tokens[::2]
    ]
    joined = Ches(*(torch.cat(column) for column in zip(*scores, strict=True)))
    return MeasuredPairs(
        pairs, prompts, which, overlaps, torch.cat(grams), joined, join_log_probs(log_probs)
    )


def coefficient_columns(
    encoded: TokenizedData,
    base: LanguageModel,
    policy: LanguageModel,
    measured: MeasuredPairs,
    name: str,
    hyper: dict,
    pad_id: int,
) -> pd.DataFrame:
    """Return an objective's columns: its ratio and the regime, now and at the future policy.

    hyper: hyper-parameters that differ from the objective's defaults; settings are ignored.
    """
    objective, index = OBJECTIVES[name], measured.pairs.index
    divergence = probe_divergence(objective, encoded, index, policy, base, pad_id)
    batch = objective_batch(measured.batch, objective, encoded, index, divergence)
    own = {n: value for n, value in hyper.items() if n in objective.hyper_parameters}
    now, ahead = coefficients_now_and_ahead(objective.loss, measured.batch.anchor, batch, **own)
    now, ahead = (type(c)(*(x.cpu() for x in c)) for c in (now, ahead))
    return objective_columns(whole_products(measured.gram, measured.overlaps), name, now, ahead)


def token_matrix(
    tokenizer: PreTrainedTokenizerBase,
    base: LanguageModel,
    policy: LanguageModel,
    measured: MeasuredPairs,
    number: int,
) -> tuple[np.ndarray, list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Return one pair's token cosines (n, m), chosen with rejected, and each token's name.

    number: which of the measured pairs. Of long completions, MOST_TOKENS tokens a side from a
    little before the two part. A name comes with whether both completions share the token.
    """
    part, overlap = measured.pairs.slice(number, number + 1), measured.overlaps[number]
    start = 0
    if max(len(overlap.shared_a), len(overlap.shared_b)) > MOST_TOKENS:
        start = max(0, overlap.prefix - MOST_TOKENS // 4)
    trajectories = pack(part.tokens).to(policy.model.device)
    place = torch.arange(trajectories.mask.shape[1], device=trajectories.mask.device)
    window = (place >= start) & (place < start + MOST_TOKENS)
    trajectories = trajectories._replace(mask=trajectories.mask & window)
    mask = trajectories.mask
    if measured.which == "head":
        pad = tokenizer.pad_token_id
        values = probe_log_probs(part.tokens, policy, base, 0.0, pad)
        gram = head_gram(values.hidden[mask], policy.head, trajectories.targets[mask])
    else:
        parameters = _parameters(policy.model, measured.which)
        size = sum(p.numel() for p in parameters.values())
        at_once = max(1, min(8, GRADIENT_ELEMENTS // size))
        with tqdm(
            total=int(mask.sum()), desc="token matrix", unit="token", dynamic_ncols=True
        ) as bar:
            gram = token_gram(
                policy.model, trajectories, parameters, tokens_at_once=at_once, progress=bar.update
            )
    count = int(mask[0].sum())
    shown = cosines(gram)[:count, count:].cpu().numpy()
    sides = zip(part.tokens, (overlap.shared_a, overlap.shared_b), strict=True)
    names = [
        [
            (_name(tokenizer, token), bool(is_shared))
            for token, is_shared in zip(tokens.completion, shared, strict=True)
        ][start : start + MOST_TOKENS]
        for tokens, shared in sides
    ]
    return shown, *names


def _parameters(model: nn.Module, which: str) -> dict[str, nn.Parameter]:
    try:
        return select_parameters(model, which)
    except ValueError as error:
        raise InputError(f"--parameters: {error}") from None


def _name(tokenizer, token: int) -> str:
    if token == tokenizer.eos_token_id:
        return "⟨end⟩"
    text = tokenizer.decode([token]).replace("\n", "↵").replace("\t", "→").replace(" ", "␣")
    return text if len(text) <= 10 else text[:9] + "…"
