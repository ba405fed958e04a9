"""Pairs as files of preferences have them: prompt, chosen, rejected."""

import torch

from objectives import pair_rollouts
from train.data.table import read_table


def builtin_pairs() -> list[dict]:
    rows = list(read_table("builtin").trajectories())
    columns = (torch.tensor([getattr(row, name) for row in rows]) for name in ("reward", "group"))
    pairs = pair_rollouts(*columns).tolist()
    return [
        preference_pair(rows[w].prompt, rows[w].completion, rows[x].completion) for w, x in pairs
    ]


def preference_pair(prompt: str, chosen: str, rejected: str) -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
