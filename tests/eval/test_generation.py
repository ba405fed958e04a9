"""Sampling: against transformers' own generation, and its random streams."""

from collections import Counter

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from eval.generation import generate
from eval.problems.arithmetic import held_out_problems
from objectives.errors import InputError
from train.builtin.base_model import make_tokenizer
from train.models.load import load_model

PROMPTS = ["1+2=", "9-3*2+1=", "4", "1+2+3="]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.5, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


def tokens_of(completions):
    return [[c.tokens for c in row] for row in completions]


def test_greedy_is_what_transformers_generates(model, tokenizer):
    ours = generate(model, tokenizer, PROMPTS, temperature=0, max_new_tokens=20, batch_size=3)
    for prompt, (completion,) in zip(PROMPTS, ours, strict=True):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                max_new_tokens=20)  # fmt: skip
        assert completion.tokens == theirs[0, ids.shape[1] :].tolist()
        assert completion.truncated == (completion.tokens[-1] != tokenizer.eos_token_id)


def test_a_seeded_sample_does_not_depend_on_its_batch(model, tokenizer):
    options = {"samples": 3, "max_new_tokens": 12, "seed": 5}
    together = tokens_of(generate(model, tokenizer, PROMPTS, **options))
    assert tokens_of(generate(model, tokenizer, PROMPTS, batch_size=2, **options)) == together
    backwards = generate(model, tokenizer, PROMPTS[::-1], keys=[3, 2, 1, 0], **options)
    assert tokens_of(backwards) == together[::-1]
    alone = generate(model, tokenizer, PROMPTS[2:3], keys=[2], **options)
    assert tokens_of(alone) == together[2:3]
    other = {**options, "seed": 6}
    assert tokens_of(generate(model, tokenizer, PROMPTS, **other)) != together
    assert len({tuple(tokens) for row in together for tokens in row}) > len(PROMPTS)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.6)])
def test_tokens_are_drawn_as_often_as_they_should(model, tokenizer, temperature, top_p):
    samples = 4000
    drawn = generate(
        model, tokenizer, ["1+2="], samples=samples, temperature=temperature, top_p=top_p,
        max_new_tokens=1, batch_size=1000,
    )  # fmt: skip
    counts = Counter(completion.tokens[0] for completion in drawn[0])
    logits = model(torch.tensor([tokenizer("1+2=")["input_ids"]])).logits[0, -1]
    expected = (logits / temperature).softmax(-1)
    order = expected.argsort(descending=True)
    outside = expected[order].cumsum(-1) - expected[order] >= top_p
    expected[order[outside]] = 0
    expected /= expected.sum()
    assert all(expected[token] > 0 for token in counts)
    distance = sum(abs(counts[t] / samples - expected[t].item()) for t in range(len(expected))) / 2
    assert distance < 0.03


def test_limits_are_named(model, tokenizer):
    with pytest.raises(InputError, match=r"prompt 1 .* context of 64"):
        generate(model, tokenizer, ["1", "1+" * 30], max_new_tokens=10)
    with pytest.raises(InputError, match="temperature"):
        generate(model, tokenizer, ["1"], temperature=-1)


def test_the_base_model_reasons_and_stops():
    model, tokenizer = load_model("builtin")
    completions = generate(model, tokenizer, held_out_problems(20), temperature=0,
                           max_new_tokens=48)  # fmt: skip
    assert not any(row[0].truncated for row in completions)
    assert all("#" in row[0].text for row in completions)
    assert all(row[0].tokens[-1] == tokenizer.eos_token_id for row in completions)
