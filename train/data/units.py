"""What one objective trains on: its units, their credit, and what is left out."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from objectives import ADVANTAGES, Objective, solve_rate
from objectives.errors import InputError
from train.data.tokenized import TokenizedData


class Units(NamedTuple):
    """What one objective trains on: rows of a TokenizedData, and each row's reward."""

    rows: Tensor  # (U, 2) pairs, or (U, 1) trajectories; what belongs together in a batch
    reward: Tensor  # (N,) what the objective sees, for every row of the TokenizedData
    left_out: dict[str, int]


def is_graded(reward: Tensor) -> bool:
    """Say whether rewards (N,) are more than right and wrong: neither of 1 and -1, nor 1 and 0."""
    found = set(reward.unique().tolist())
    return not (found <= {1.0, -1.0} or found <= {1.0, 0.0})


def rewards_in_words(reward: Tensor) -> str:
    """Return which share of rewards (N,) is correct or, where they are graded, what they are."""
    share = (reward > 0).float().mean().item() if len(reward) else 0.0
    if not is_graded(reward):
        return f"{share:.1%} correct"
    least, most = reward.min().item(), reward.max().item()
    mean = reward.double().mean().item()
    return f"rewards {least:.3g} to {most:.3g}, mean {mean:.3f}, {share:.1%} above 0"


def graded_use(objective: Objective, advantage: str) -> str:
    """Return in words what an objective makes of graded rewards; advantage as in `select_units`."""
    name = objective.advantage if advantage == "auto" else advantage
    if objective.unit == "pair":
        use = "a pair is one above 0 and one of 0 or less, of a prompt; their size does not count"
    elif objective.only_correct:
        use = "those above 0 are trained on, all alike"
    elif name == "plus_minus_one":
        use = "above 0 is read as +1, all else as -1; --advantage group_centred keeps their size"
    else:
        use = f"read by their size within a prompt ({name})"
    if "solve_rate" in objective.needs:
        use += "; a prompt's solve rate counts those above 0"
    return f"rewards: {use}"


def advantages(data: TokenizedData, objective: Objective, advantage: str) -> Tensor:
    """Return what the objective sees as reward, (N,); advantage as `select_units` has it."""
    name = objective.advantage if advantage == "auto" else advantage
    return ADVANTAGES[name](data.reward, data.group)


def solve_rates(data: TokenizedData) -> Tensor:
    """Return the share of each row's prompt's trajectories that are correct, (N,).

    Of all in the data, whichever of them a batch or an objective's units hold.
    """
    return _solve_rates(data.reward, data.group)


@lru_cache(maxsize=4)  # once for a data set: by the tensors themselves, not what is in them
def _solve_rates(reward: Tensor, group: Tensor) -> Tensor:
    return solve_rate(reward, group)


def select_units(data: TokenizedData, objective: Objective, rows: str, advantage: str) -> Units:
    """Choose what an objective trains on.

    rows: `paired` (the trajectories of the pairs, so that every objective sees the same), `all`,
    or `auto`; advantage: a key of ADVANTAGES or `auto`, the objective's own.
    Raises InputError where nothing is left to train on, with the reason.
    """
    pairs = data.all_pairs()
    reward = advantages(data, objective, advantage)
    total = len(data.tokens)
    paired = objective.unit == "pair" or rows == "paired" or (rows == "auto" and len(pairs) > 0)
    units = pairs if paired else torch.arange(total)[:, None]
    reason = "of prompts all correct or all incorrect"
    if objective.only_correct:
        units = units[:, 0].unique()[:, None]
        units = units[data.reward[units[:, 0]] > 0]
        reason = "incorrect, or " + reason if paired else "incorrect"
    elif not paired:
        units = units[reward[units[:, 0]] != 0]
    left_out: dict[str, int] = {}
    if unused := total - len(units.unique()):
        left_out[reason] = unused
    if not len(units):
        raise InputError(f"{objective.name} finds nothing to train on: {_why(data)}")
    return Units(units, reward, left_out)


def _why(data: TokenizedData) -> str:
    total, correct = len(data.tokens), int((data.reward > 0).sum())
    reasons = "; ".join(f"{count} {why}" for why, count in data.left_out.items())
    if not total:
        return (
            f"all trajectories are left out ({reasons}); --max-tokens or the model's context is "
            f"{data.max_tokens}"
        )
    needed = "a pair needs a correct and an incorrect one of one prompt"
    if correct == total:
        needed += "; where rows have no reward, label or rejected side, sft alone learns from them"
    left_out = f"; left out: {reasons}" if reasons else ""
    return f"of {total} trajectories {correct} are correct (reward above 0); {needed}{left_out}"
