"""A built-in task's base model and rollouts, made from nothing and held beside those shipped."""

from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.generation import generate
from eval.problems.tasks import Task
from objectives.whole_files import whole_folder
from train.builtin.base_model import train_base
from train.builtin.lessons import Lesson
from train.config.builtin_tasks import shipped_model, shipped_rollouts
from train.models.load import load_model

SEED = 0
PROMPTS, SAMPLES = 1500, 8


def make_rollouts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task
) -> pd.DataFrame:
    """Return graded rollouts of a model at temperature 1, on none of the test problems."""
    problems = task.sample_problems(PROMPTS, SEED, frozenset(task.held_out()))
    sampled = generate(
        model, tokenizer, problems, samples=SAMPLES, max_new_tokens=task.max_new_tokens,
        seed=SEED, batch_size=1000,
    )  # fmt: skip
    return pd.DataFrame([
        {
            "prompt": problem,
            "completion": completion.text,
            "reward": 1.0 if task.is_correct(problem, completion.text) else -1.0,
            "group_id": group,
            "truncated": completion.truncated,
        }
        for group, (problem, completions) in enumerate(zip(problems, sampled, strict=True))
        for completion in completions
    ])  # fmt: skip


def make(out: Path, lesson: Lesson, device: str = "cpu") -> None:
    """Make the model and the rollouts of a lesson's task, and write them to a new folder."""
    task = lesson.task
    model, tokenizer = train_base(lesson, frozenset(task.held_out()), SEED, device=device)
    with whole_folder(out) as folder:
        base, rollouts = folder / "base", folder / "rollouts.parquet"
        model.save_pretrained(base)
        tokenizer.save_pretrained(base)
        sampled = make_rollouts(*load_model(str(base), device=device), task)
        sampled.to_parquet(rollouts, index=False, compression="zstd")


def compare(made: Path, name: str) -> str:
    """Return how the model and rollouts of a task in a folder differ from those shipped."""
    bases, tables = (
        (shipped_model(name), made / "base"),
        (shipped_rollouts(name), made / "rollouts.parquet"),
    )
    old, new = (load_file(folder / "model.safetensors") for folder in bases)
    difference = max((old[name] - new[name]).abs().max().item() for name in old)
    same = all(torch.equal(old[name], new[name]) for name in old)
    shipped, own = (pd.read_parquet(path) for path in tables)
    prompts = shipped["prompt"].equals(own["prompt"])
    equal = (shipped["completion"] == own["completion"]).mean()
    return (
        f"weights: {'the same bits' if same else f'differ by {difference:.2g} at most'}; "
        f"prompts: {'the same' if prompts else 'different'}; completions: {equal:.2%} the same"
    )
