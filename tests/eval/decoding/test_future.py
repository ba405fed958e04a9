"""The future policy, sampled from two caches, against full passes of both models."""

from copy import deepcopy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from eval import Future, Sampling, TransformersEngine, generate
from eval.decoding import choice
from eval.decoding.drawing import Sampler, uniform_numbers
from objectives.errors import InputError
from train.models.load import load_model

TEXTS = ["2+3*4=", "7-1=", "1+2*3-4+5=", "9*2+1-3="]
GREEDY = Sampling(temperature=0, max_new_tokens=16)
DRAWN = Sampling(temperature=0.8, top_p=0.9, max_new_tokens=16, n=3, seed=4)


@pytest.fixture(scope="module")
def pair():
    """Return a policy, its reference, and their tokenizer."""
    reference, tokenizer = load_model("builtin")
    policy = deepcopy(reference)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=generator)
    return policy, reference, tokenizer


@pytest.fixture(scope="module")
def prompts(pair):
    return [pair[2](text)["input_ids"] for text in TEXTS]


def by_full_passes(policy, reference, lam, prompts, sampling):
    """Return the ids drawn one by one from logits of whole rows, without a cache or a batch."""
    found = []
    for key, prompt in enumerate(prompts):
        for sample in range(sampling.n):
            uniforms = None
            if sampling.temperature > 0:
                uniforms = uniform_numbers([(sampling.seed, key, sample)], sampling.max_new_tokens)
            sampler = Sampler(sampling.temperature, sampling.top_p, uniforms)
            ids = list(prompt)
            for step in range(sampling.max_new_tokens):
                with torch.no_grad():
                    h, h_ref = (m(torch.tensor([ids])).logits[:, -1] for m in (policy, reference))
                logits = h + lam * (h - h_ref)
                ids.append(int(sampler.draw(logits, torch.tensor([0]), step)))
            found.append(ids[len(prompt) :])
    return found


def drawn(engine, prompts, sampling):
    return [c.token_ids for row in engine.generate(prompts, sampling) for c in row]


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
@pytest.mark.parametrize("lam", [-0.5, 1.0, 4.0])
def test_tokens_are_those_of_full_passes(pair, prompts, lam, sampling):
    policy, reference, _ = pair
    engine = TransformersEngine(policy, 5, future=Future(reference, lam))
    found = drawn(engine, prompts, sampling)
    assert found == by_full_passes(policy, reference, lam, prompts, sampling)
    assert found != drawn(TransformersEngine(policy), prompts, sampling)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_0_is_the_policy_and_minus_1_the_reference(pair, prompts, sampling, dtype):
    policy, reference = (deepcopy(model).to(dtype) for model in pair[:2])
    own, theirs = (drawn(TransformersEngine(m), prompts, sampling) for m in (policy, reference))
    assert own != theirs
    for lam, wanted in ((0.0, own), (-1.0, theirs)):
        engine = TransformersEngine(policy, future=Future(reference, lam))
        assert drawn(engine, prompts, sampling) == wanted


@pytest.mark.parametrize(("lam", "whose"), [(0.0, 0), (-1.0, 1)])
def test_logits_at_the_two_ends_are_equal_to_the_bit(pair, prompts, lam, whose):
    from eval.decoding.future import FutureBatch
    from eval.decoding.in_step import CachedBatch

    with torch.inference_mode():
        both = FutureBatch(pair[0], Future(pair[1], lam), prompts, 2)
        alone = CachedBatch(pair[whose], prompts, 2)
        assert torch.equal(both.logits, alone.logits)
        for batch in (both, alone):
            batch.keep(torch.tensor([2, 0]))
            batch.append(torch.tensor([5, 6]))
        assert torch.equal(both.logits, alone.logits)


def test_rows_that_end_early_leave_the_others_as_they_were(pair):
    policy, reference, tokenizer = pair
    engine = TransformersEngine(policy, future=Future(reference, 1.0))
    told = []
    options = {"samples": 4, "max_new_tokens": 48, "seed": 2}
    report = lambda done, total: told.append((done, total))  # noqa: E731
    together = generate(engine, tokenizer, TEXTS, **options, progress=report)
    apart = [
        generate(engine, tokenizer, [text], keys=[key], **options)[0]
        for key, text in enumerate(TEXTS)
    ]
    assert together == apart
    assert len({len(c.tokens) for row in together for c in row}) > 3
    assert told[-1] == (16, 16)
    assert len(told) > 3


def test_models_that_do_not_go_together_are_refused(pair, monkeypatch):
    policy, reference, _ = pair
    with pytest.raises(InputError, match="lam is nan; it must be a finite number"):
        Future(reference, float("nan"))
    sizes = {"vocab_size": 11, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    other = GPT2LMHeadModel(GPT2Config(**sizes)).eval()
    with pytest.raises(InputError, match=r"another vocabulary than its reference: \d+ and 11"):
        TransformersEngine(policy, future=Future(other, 1.0)).check()
    short = GPT2LMHeadModel(GPT2Config(**{**sizes, "vocab_size": policy.config.vocab_size})).eval()
    with pytest.raises(InputError, match="the reference looks at 64 tokens, fewer than the pol"):
        TransformersEngine(policy, future=Future(short, 1.0)).check()
    monkeypatch.setitem(choice._found, reference, choice.OWN)
    with pytest.raises(InputError, match="the reference LlamaForCausalLM is sampled by its own"):
        TransformersEngine(policy, future=Future(reference, 1.0)).generate([[3]], GREEDY)
