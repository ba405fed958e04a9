"""Pairs as files of preferences have them: prompt, chosen, rejected."""

import json
from pathlib import Path

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


def word_problem_pairs(benchmarks: Path) -> list[dict]:
    """Each problem's own solution against the next one's: real text of natural lengths."""
    rows = [json.loads(line) for line in (benchmarks / "gsm8k.jsonl").read_text().splitlines()]
    others = [*rows[1:], rows[0]]
    return [preference_pair(f"{own['question']}\n", own["answer"], other["answer"])
            for own, other in zip(rows, others, strict=True)]  # fmt: skip


def preference_pair(prompt: str, chosen: str, rejected: str) -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
