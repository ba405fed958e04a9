"""Tokenised trajectories, and what one objective trains on: its units, credit and left-outs."""

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from eval.prompts import encode_text, render_prompt
from objectives import ADVANTAGES, Objective, pair_rollouts
from objectives.errors import InputError
from train.table import Table, Trajectory


class Tokens(NamedTuple):
    """Ids of a prompt and of its completion, end of sequence included unless it was truncated."""

    prompt: list[int]
    completion: list[int]


class Encoded(NamedTuple):
    """A table's trajectories as token ids, those that fit, and why others were left out."""

    tokens: list[Tokens]
    reward: Tensor  # (N,) as graded
    group: Tensor  # (N,) integer id of the prompt
    weight: Tensor  # (N,)
    pairs: Tensor | None  # (P, 2) as the table states them
    left_out: dict[str, int]
    max_tokens: int  # no trajectory is longer

    def all_pairs(self) -> Tensor:
        """Return the pairs (P, 2) that the table states, or those made from its rollouts."""
        return pair_rollouts(self.reward, self.group) if self.pairs is None else self.pairs


class Units(NamedTuple):
    """What one objective trains on: rows of an Encoded, and each row's reward."""

    rows: Tensor  # (U, 2) pairs, or (U, 1) trajectories; what belongs together in a batch
    reward: Tensor  # (N,) what the objective sees, for every row of the Encoded
    left_out: dict[str, int]


def encode(table: Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Encoded:
    """Tokenise a table's trajectories.

    max_tokens: longer trajectories are left out and counted, so are completions without tokens.
    Raises InputError naming the row where the prompt alone is that long.
    """
    prompts: dict[str, list[int]] = {}
    groups: dict[object, int] = {}
    tokens, kept, group = [], {}, []
    left_out: Counter[str] = Counter()
    for number, row in enumerate(table.trajectories):
        text = render_prompt(tokenizer, row.prompt)
        if text not in prompts:
            prompts[text] = encode_text(tokenizer, text)
        if len(prompts[text]) >= max_tokens:
            raise InputError(
                f"{table.name}: the prompt of trajectory {number + 1} has {len(prompts[text])} "
                f"tokens, more than fit the model's context or --max-tokens ({max_tokens})"
            )
        encoded = _encode_row(tokenizer, text, prompts[text], row)
        group_id = groups.setdefault(row.group, len(groups))
        if not encoded.completion:
            left_out["completion without tokens"] += 1
        elif len(encoded.prompt) + len(encoded.completion) > max_tokens:
            left_out[f"longer than {max_tokens} tokens"] += 1
        else:
            kept[number] = len(tokens)
            tokens.append(encoded)
            group.append(group_id)
    pairs = None
    if table.pairs is not None:
        whole = [(kept[w], kept[x]) for w, x in table.pairs if w in kept and x in kept]
        pairs = torch.tensor(whole, dtype=torch.long).view(-1, 2)
    rows = [table.trajectories[number] for number in kept]
    return Encoded(
        tokens,
        torch.tensor([row.reward for row in rows]),
        torch.tensor(group, dtype=torch.long),
        torch.tensor([row.weight for row in rows]),
        pairs,
        dict(left_out),
        max_tokens,
    )


def _encode_row(
    tokenizer: PreTrainedTokenizerBase, text: str, prompt: list[int], row: Trajectory
) -> Tokens:
    ids = row.token_ids
    if ids is not None and _decode(tokenizer, ids) == row.completion:
        return Tokens(prompt, ids)
    # Tokenised together, so that the boundary is where the model would put it: a token that spans
    # it belongs to the completion.
    both = encode_text(tokenizer, text + row.completion)
    shared = next((i for i, (a, b) in enumerate(zip(prompt, both, strict=False)) if a != b), None)
    boundary = min(len(prompt), len(both)) if shared is None else shared
    completion = both[boundary:]
    if not row.truncated and completion[-1:] != [tokenizer.eos_token_id]:
        completion = [*completion, tokenizer.eos_token_id]
    return Tokens(both[:boundary], completion)


def _decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def advantages(encoded: Encoded, objective: Objective, advantage: str) -> Tensor:
    """Return what the objective sees as reward, (N,); advantage as `select_units` has it."""
    name = objective.advantage if advantage == "auto" else advantage
    return ADVANTAGES[name](encoded.reward, encoded.group)


def select_units(encoded: Encoded, objective: Objective, rows: str, advantage: str) -> Units:
    """Choose what an objective trains on.

    rows: `paired` (the trajectories of the pairs, so that every objective sees the same), `all`,
    or `auto`; advantage: a key of ADVANTAGES or `auto`, the objective's own.
    Raises InputError where nothing is left to train on, with the reason.
    """
    pairs = encoded.all_pairs()
    correct = int((encoded.reward > 0).sum())
    reward = advantages(encoded, objective, advantage)
    total = len(encoded.tokens)
    paired = objective.unit == "pair" or rows == "paired" or (rows == "auto" and len(pairs) > 0)
    units = pairs if paired else torch.arange(total)[:, None]
    reason = "of prompts all correct or all incorrect"
    if objective.only_correct:
        units = units[:, :1].unique(dim=0)
        units = units[encoded.reward[units[:, 0]] > 0]
        reason = "incorrect, or " + reason if paired else "incorrect"
    elif not paired:
        units = units[reward[units[:, 0]] != 0]
    left_out: dict[str, int] = {}
    if unused := total - len(units.unique()):
        left_out[reason] = unused
    if not len(units):
        raise InputError(
            f"{objective.name} finds nothing to train on: of {total} trajectories {correct} are "
            f"correct (reward above 0); a pair needs a correct and an incorrect one of one prompt"
        )
    return Units(units, reward, left_out)
