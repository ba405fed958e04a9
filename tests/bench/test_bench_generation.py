"""How much faster sampling is than transformers' own generate loop at batch size 8.

`pytest tests/bench/test_bench_generation.py --benchmark-only`; the ratio is in `extra_info`.
"""

import time

import pytest
import torch

from eval.generation import generate
from eval.problems.arithmetic import MAX_NEW_TOKENS, held_out_problems
from train.models.load import load_model

PROBLEMS, SAMPLES, PLAIN_BATCH = 64, 4, 8


@torch.inference_mode()
def plain(model, tokenizer, prompts):
    """Return the completions' token counts, from `model.generate` on batches in order."""
    counts = []
    for start in range(0, len(prompts), PLAIN_BATCH):
        inputs = tokenizer(
            prompts[start : start + PLAIN_BATCH], return_tensors="pt", padding=True,
            padding_side="left",
        )  # fmt: skip
        out = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], do_sample=True,
            temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        new = out[:, inputs["input_ids"].shape[1] :]
        ended = (new == tokenizer.eos_token_id).cumsum(-1)
        counts += ((ended == 0).sum(-1) + (ended[:, -1] > 0)).tolist()
    return counts


def test_sampling_against_the_plain_loop(benchmark):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    model, tokenizer = load_model("builtin")
    problems = held_out_problems(PROBLEMS)
    prompts = [problem for problem in problems for _ in range(SAMPLES)]
    plain(model, tokenizer, prompts[:PLAIN_BATCH])
    torch.manual_seed(0)
    started = time.perf_counter()
    counts = plain(model, tokenizer, prompts)
    rate = sum(counts) / (time.perf_counter() - started)

    def ours():
        return generate(
            model, tokenizer, problems, samples=SAMPLES, max_new_tokens=MAX_NEW_TOKENS, seed=0
        )

    completions = benchmark.pedantic(ours, rounds=3, warmup_rounds=1)
    tokens = sum(len(c.tokens) for row in completions for c in row)
    # The same work: about as many tokens of as many completions.
    assert len(counts) == PROBLEMS * SAMPLES
    assert abs(tokens - sum(counts)) < 0.1 * tokens
    mine = tokens / benchmark.stats.stats.median
    benchmark.extra_info["ratio"] = mine / rate
    print(f"\n{mine:.0f} tokens/s, {mine / rate:.1f} times the plain loop's {rate:.0f}")
