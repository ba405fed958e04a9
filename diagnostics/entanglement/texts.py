"""Entanglement of pairs of texts, under any causal model and its tokenizer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from diagnostics.entanglement.gram import pair_grams
from diagnostics.entanglement.moved import moved_table
from diagnostics.entanglement.overlap import token_overlap
from diagnostics.entanglement.parts import part_weights
from diagnostics.entanglement.table import most_entangled, pair_table
from diagnostics.entanglement.token_matrix import cosines, token_gram
from diagnostics.entanglement.words import token_names
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import completion_log_probs, pack

PAIRS_AT_ONCE = 16
Texts = str | Sequence[str]
Ids = tuple[list[int], list[int]]  # of a prompt and a completion


class Entanglement(NamedTuple):
    """Of N pairs; n tokens of the chosen and m of the rejected of the pair that `tokens` shows."""

    table: pd.DataFrame  # (N rows) of `pair_table`, and of `moved_table` with a reference
    tokens: pd.DataFrame  # (n, m) cosines of tokens' gradients, of the pair of highest cosine
    shown: int  # which pair that is


def entangle(
    model: nn.Module,
    tokenizer,
    prompt: Texts,
    chosen: Texts,
    rejected: Texts,
    reference: nn.Module | None = None,
    *,
    parameters: str = "all",
) -> Entanglement:
    """Return how the gradients of chosen and rejected completions entangle (arXiv 2410.13828).

    model: the policy, a causal model of transformers in
    evaluation mode, left as it is. tokenizer: its own. prompt,
    chosen, rejected: one text each, or N texts each, a prompt as the model is to see it (its chat
    template applied). The tokenizer's end of sequence is put after each completion that does not
    end in it. reference: what the policy began from, of the same vocabulary, on the same device.
    parameters: as `select_parameters` takes them.

    The table has a line per pair: columns of `pair_table` (lengths in tokens, cosine in [-1, 1],
    inner products and norms of gradients of nats, the window of c_l/c_w, the regime at equal
    weights), and with a reference those of `moved_table` (log-probs and their changes in nats).
    `tokens` has cosines, with the tokens' texts as its index and columns.
    Raises ValueError where the texts are not as many, or a prompt or a completion has no tokens,
    or `parameters` names none; TypeError for what is no text.
    """
    sides = [_texts(texts, name) for name, texts in
             (("prompt", prompt), ("chosen", chosen), ("rejected", rejected))]  # fmt: skip
    counts = {len(texts) for texts in sides}
    if len(counts) > 1 or not sides[0]:
        raise ValueError(
            f"prompt, chosen and rejected must be as many, and one or more: got "
            f"{', '.join(str(len(texts)) for texts in sides)}"
        )
    rows = [row for texts in zip(*sides, strict=True) for row in _pair(tokenizer, *texts)]
    overlaps = [token_overlap(a[1], b[1]) for a, b in zip(rows[::2], rows[1::2], strict=True)]
    device, chosen_parameters = (
        next(model.parameters()).device, select_parameters(model, parameters)
    )  # fmt: skip
    grams, moved = [], []
    for start in range(0, len(overlaps), PAIRS_AT_ONCE):
        own = overlaps[start : start + PAIRS_AT_ONCE]
        part = pack(rows[2 * start : 2 * (start + len(own))]).to(device)
        grams.append(
            pair_grams(model, part, part_weights(part, own), chosen_parameters).detach().cpu()
        )
        if reference is not None:
            with torch.no_grad():
                now, then = (completion_log_probs(m, part).cpu() for m in (model, reference))
            moved += zip(now, then, part.mask.cpu(), strict=True)
    table = pair_table(torch.cat(grams), overlaps)
    if reference is not None:
        now, then, mask = (
            torch.nn.utils.rnn.pad_sequence(list(column), batch_first=True)
            for column in zip(*moved, strict=True)
        )
        table = pd.concat([table, moved_table(now, then, mask, overlaps)], axis=1)
    number = most_entangled(table)
    return Entanglement(
        table, _matrix(model, tokenizer, rows[2 * number : 2 * number + 2], chosen_parameters),
        number,
    )  # fmt: skip


def _texts(texts: Texts, name: str) -> list[str]:
    found = [texts] if isinstance(texts, str) else list(texts)
    for text in found:
        if not isinstance(text, str):
            raise TypeError(
                f"{name} must be a text or texts, got {type(text).__name__}: apply the chat "
                f"template to conversations first"
            )
    return found


def _pair(tokenizer, prompt: str, chosen: str, rejected: str) -> list[Ids]:
    before = tokenizer(prompt).input_ids
    if before and before[-1] == tokenizer.eos_token_id:  # a completion goes on
        before = before[:-1]
    found = []
    for text in (chosen, rejected):
        # Together, so that the boundary is where the model would put it.
        whole = tokenizer(prompt + text).input_ids
        start = next(
            (n for n, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b),
            min(len(before), len(whole)),
        )
        end = tokenizer.eos_token_id
        if end is not None and whole[-1:] != [end]:
            whole = [*whole, end]
        found.append((whole[:start], whole[start:]))
    return found


def _matrix(model: nn.Module, tokenizer, rows: list[Ids], parameters) -> pd.DataFrame:
    trajectories = pack(rows).to(next(model.parameters()).device)
    values = cosines(token_gram(model, trajectories, parameters)).detach().cpu().numpy()
    count = len(rows[0][1])
    names = [[name for name, _ in token_names(tokenizer, [(i, True) for i in row[1]])]
             for row in rows]  # fmt: skip
    return pd.DataFrame(np.asarray(values)[:count, count:], index=names[0], columns=names[1])
