"""The built-in base model and rollouts, made from nothing and held beside those shipped."""

from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.generation import generate
from eval.problems.arithmetic import MAX_NEW_TOKENS, held_out_problems, is_correct, sample_problems
from objectives.whole_files import whole_folder
from train.builtin.base_model import train_base
from train.data.table import BUILTIN_ROLLOUTS
from train.models.load import BUILTIN_MODEL, load_model

SEED = 0
PROMPTS, SAMPLES = 1500, 8


def make_rollouts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> pd.DataFrame:
    """Return graded rollouts of a model at temperature 1, on none of the test problems."""
    problems = sample_problems(PROMPTS, SEED, frozenset(held_out_problems()))
    sampled = generate(
        model, tokenizer, problems, samples=SAMPLES, max_new_tokens=MAX_NEW_TOKENS,
        seed=SEED, batch_size=1000,
    )  # fmt: skip
    return pd.DataFrame([
        {
            "prompt": problem,
            "completion": completion.text,
            "reward": 1.0 if is_correct(problem, completion.text) else -1.0,
            "group_id": group,
            "truncated": completion.truncated,
        }
        for group, (problem, completions) in enumerate(zip(problems, sampled, strict=True))
        for completion in completions
    ])  # fmt: skip


def make(out: Path) -> None:
    """Make the model and the rollouts, and write them to a new folder."""
    model, tokenizer = train_base(frozenset(held_out_problems()), SEED)
    with whole_folder(out) as folder:
        base, rollouts = folder / "base", folder / "rollouts.parquet"
        model.save_pretrained(base)
        tokenizer.save_pretrained(base)
        make_rollouts(*load_model(str(base))).to_parquet(rollouts, index=False, compression="zstd")


def compare(made: Path) -> str:
    """Return how the model and rollouts in a folder differ from those shipped."""
    old, new = (load_file(f / "model.safetensors") for f in (BUILTIN_MODEL, made / "base"))
    difference = max((old[name] - new[name]).abs().max().item() for name in old)
    same = all(torch.equal(old[name], new[name]) for name in old)
    tables = [pd.read_parquet(path) for path in (BUILTIN_ROLLOUTS, made / "rollouts.parquet")]
    prompts = tables[0]["prompt"].equals(tables[1]["prompt"])
    equal = (tables[0]["completion"] == tables[1]["completion"]).mean()
    return (
        f"weights: {'the same bits' if same else f'differ by {difference:.2g} at most'}; "
        f"prompts: {'the same' if prompts else 'different'}; completions: {equal:.2%} the same"
    )
