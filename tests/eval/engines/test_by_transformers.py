"""The engine that is a model: ids in, ids out, other weights, and the settings that are refused."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from eval.engines.by_transformers import TransformersEngine
from eval.engines.interface import Completion, Sampling
from objectives.errors import InputError

PROMPTS = [[3, 4, 5], [6], [3, 4, 5, 7, 8]]


def made(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


@pytest.fixture(scope="module")
def model():
    return made(0)


def probabilities(model, ids):
    return model(torch.tensor([ids])).logits[0, -1].softmax(-1)


def test_a_completion_ends_with_its_stop_token(model):
    sampling = Sampling(max_new_tokens=20, stop_token_ids=(1, 2), n=40, seed=3)
    found = TransformersEngine(model, 7).generate(PROMPTS, sampling)
    assert [len(row) for row in found] == [40] * 3
    finishes = Counter(completion.finish for row in found for completion in row)
    assert finishes["stop"] > 20
    for completion in (c for row in found for c in row):
        ended = completion.token_ids[-1] in (1, 2)
        assert not any(token in (1, 2) for token in completion.token_ids[:-1])
        assert completion.finish == ("stop" if ended else "length")
        assert ended or len(completion.token_ids) == 20


def test_each_completion_has_a_stream_of_its_own(model):
    engine = TransformersEngine(model)
    sampling = Sampling(max_new_tokens=8, n=3, seed=1)
    whole = engine.generate(PROMPTS, sampling)
    assert engine.generate(PROMPTS[::-1], sampling, keys=[2, 1, 0]) == whole[::-1]
    fewer = engine.generate(PROMPTS, replace(sampling, n=2))
    assert fewer == [row[:2] for row in whole]
    assert engine.generate(PROMPTS, replace(sampling, seed=2)) != whole


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1.0), (4, 0.6), (11, 1.0), (50, 1.0)])
def test_tokens_beyond_the_most_probable_are_never_drawn(model, top_k, top_p):
    sampling = Sampling(max_new_tokens=1, n=3000, top_k=top_k, top_p=top_p)
    (row,) = TransformersEngine(model, 3000).generate([PROMPTS[0]], sampling)
    drawn = Counter(completion.token_ids[0] for completion in row)
    expected = probabilities(model, PROMPTS[0])
    order = expected.argsort(descending=True)
    expected[order[top_k:]] = 0
    expected /= expected.sum()  # the nucleus is one of what the k leave
    expected[order[expected[order].cumsum(-1) - expected[order] >= top_p]] = 0
    expected /= expected.sum()
    assert all(expected[token] > 0 for token in drawn)
    assert sum(abs(drawn[t] / 3000 - float(expected[t])) for t in range(11)) / 2 < 0.03


def test_it_samples_with_the_weights_that_it_was_given_last():
    model, other = made(0), made(1)
    engine, greedy = TransformersEngine(model), Sampling(temperature=0, max_new_tokens=9)
    before, wanted = (TransformersEngine(m).generate(PROMPTS, greedy) for m in (model, other))
    assert before != wanted
    engine.load(other.named_parameters())
    assert engine.generate(PROMPTS, greedy) == wanted
    with pytest.raises(ValueError, match="no such weight"):
        engine.load([("model.layers.7.weight", torch.zeros(1))])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -1}, "temperature is -1; give 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0; it must be above 0"),
        ({"top_k": -1}, "top_k is -1; it must be at least 0"),
        ({"n": 0}, "samples is 0; it must be at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_values_out_of_range_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Sampling(**values)


def test_a_batch_has_a_row_at_least(model):
    with pytest.raises(InputError, match="batch_size is 0"):
        TransformersEngine(model, 0)
    assert TransformersEngine(model).generate([[3]], Sampling(0, max_new_tokens=1)) == [
        [Completion([int(probabilities(model, [3]).argmax())], "length")]
    ]
