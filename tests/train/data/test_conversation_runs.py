"""Runs on conversations of several turns: the same losses however they are computed."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from objectives.errors import InputError
from tests.helpers.started_runs import started, with_config
from tests.helpers.templates import tokenizer
from train.config.settings import Config
from train.data import tokenized
from train.data.table import read_table
from train.data.tokenized import encode
from train.run.setup import set_up


def conversation(number, *answers):
    turns = [{"role": "user", "content": f"Add {number}."}]
    for answer in answers:
        turns += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Go on."}]
    return turns[:-1]


ROWS = [
    {"chosen": conversation(n, a, "3+4=7", a), "rejected": conversation(n, b, "3+4=8")}
    for n, (a, b) in enumerate(
        [("1+2=3", "1+2=4"), ("2", "3"), ("it is five", "it is six"), ("four", "fore")]
    )
]


@pytest.fixture(scope="module")
def setup():
    reader = tokenizer("qwen3")
    torch.manual_seed(0)
    config = Config(batch_size=4, eval_problems="none", learning_rate=1e-3, reference_cache="off")
    model = LlamaForCausalLM(config_of(reader)).eval()
    return set_up(config, model=(model, reader), data=ROWS)


def config_of(reader):
    return LlamaConfig(
        vocab_size=len(reader), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
    )  # fmt: skip


def losses(setup, objective, folder):
    run = started(setup, objective, folder)
    for step in (1, 2, 3):
        run.step(step)
    return [line["loss"] for line in run.history]


@pytest.mark.cpu
@pytest.mark.parametrize("objective", ["dpo", "kto", "fpa", "simpo"])
def test_sharing_the_cache_and_micro_batches_change_no_loss(objective, setup, tmp_path):
    assert (setup.data.tokens.trained < setup.data.tokens.completions).all()
    apart = replace(setup, base=replace(setup.base, width=None))
    assert setup.base.width is not None
    plain = losses(apart, objective, tmp_path / "plain")
    cached = with_config(setup, reference_cache=str(tmp_path / "cache"), micro_batch_size=2)
    for other, name in ((setup, "shared"), (cached, "cached")):
        assert losses(other, objective, tmp_path / name) == pytest.approx(plain, rel=1e-3)
    assert len(set(plain)) == 3
    if objective == "dpo":
        assert plain[0] == pytest.approx(0.693147, abs=1e-5)


def test_a_start_says_how_turns_end_and_what_is_not_used(setup):
    lines = setup.describe().splitlines()
    assert r"       turns end in <|im_end|>, then \n which is not trained" in lines
    assert not any("not used" in line for line in lines)


def test_what_is_trained_and_said_is_kept_on_disk(tmp_path, monkeypatch):
    file = tmp_path / "rows.jsonl"
    rows = [{**row, "tools": [{"name": "f"}]} for row in ROWS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = tokenizer("chatml")
    fresh = encode(read_table(str(file)), reader, 500)
    monkeypatch.setattr(tokenized, "LARGE", 0)
    for _ in range(2):
        kept = encode(read_table(str(file)), reader, 500, tmp_path / "cache")
        assert list(kept.tokens) == list(fresh.tokens)
        assert kept.notes == fresh.notes
        assert any("tools of 8 trajectories" in note for note in kept.notes)
        monkeypatch.setattr(tokenized, "Encoder", None)  # would fail


def test_a_row_that_the_template_refuses_is_named(tmp_path):
    file = tmp_path / "rows.jsonl"
    system = {"role": "system", "content": "Be brief. " * 50}
    rows = [ROWS[0], {side: [system, *turns] for side, turns in ROWS[1].items()}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        InputError, match=r"rows.jsonl row 2: .*System role not supported"
    ) as raised:
        encode(read_table(str(file)), tokenizer("gemma"), 500)
    assert "Be brief" not in str(raised.value)
