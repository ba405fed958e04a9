"""`python -m eval --reference`: what is kept, gone on with, compared and refused."""

import json
from functools import partial

import pytest
import torch
from peft import LoraConfig, get_peft_model

from eval.__main__ import main
from eval.compare.__main__ import main as compare
from train.models.load import load_model

SAMPLED = "--benchmarks builtin --limit 6 --samples 2 --temperature 1 --batch-size 6"


@pytest.fixture
def evaluate(call):
    return partial(call, main)


@pytest.fixture
def policy(tmp_path, call):
    """Save a variation of the built-in model; return its folder's name."""
    model, tokenizer = load_model("builtin")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * weight.std() * torch.randn_like(weight)
    model.save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    return "policy"


def texts(folder):
    lines = (folder / "completions.jsonl").read_text().splitlines()
    return [json.loads(line)["completion"] for line in lines]


def test_both_ends_and_what_is_kept(evaluate, call, policy, tmp_path):
    both = f"{SAMPLED} --model {policy} --reference builtin"
    for words in (
        f"{SAMPLED} --model {policy} --out own",
        f"{SAMPLED} --out reference",
        f"{both} --lam 0 --out at0",
        f"{both} --lam -1 --out before",
        f"{both} --lam 2 --out at2",
    ):
        status, _, err = evaluate(words)
        assert status == 0, err
    assert texts(tmp_path / "at0") == texts(tmp_path / "own")
    assert texts(tmp_path / "before") == texts(tmp_path / "reference")
    assert texts(tmp_path / "at2") not in (texts(tmp_path / "own"), texts(tmp_path / "reference"))
    settings = json.loads((tmp_path / "at2" / "settings.json").read_text())
    assert (settings["reference"], settings["lam"]) == ("builtin", 2.0)
    assert settings["digests"].keys() == {"base", "reference"}
    assert "lam" not in json.loads((tmp_path / "own" / "settings.json").read_text())
    status, _, err = evaluate(f"{both} --lam 3 --out at2")
    assert status == 2
    assert "at2 was begun with other settings (lam 2.0, now 3.0)" in err
    status, out, err = call(compare, "own at2")
    assert status == 0, err
    assert "lam" in out
    assert "reference" in out


def test_an_adapter_is_extrapolated_away_from_its_base(evaluate, tmp_path):
    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(load_model("builtin")[0], settings).save_pretrained(tmp_path / "adapter")
    status, _, err = evaluate(f"{SAMPLED} --out reference")
    assert status == 0, err
    for lam in (-1, 1):
        status, _, err = evaluate(
            f"{SAMPLED} --model adapter --reference builtin --lam {lam} --out at{lam}"
        )
        assert status == 0, err
    assert texts(tmp_path / "at-1") == texts(tmp_path / "reference") != texts(tmp_path / "at1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--reference builtin", "--reference and --lam go together"),
        ("--lam 1", "--reference and --lam go together"),
        ("--reference builtin --lam nan", "--lam nan: must be a finite number"),
        ("--reference builtin --lam 1 --engine vllm", "--reference: not with --engine vllm"),
        ("--reference builtin --lam 1 --engine-memory .5", "--engine-memory: not with --reference"),
        ("--reference ./no --lam 1", "--reference ./no: no model folder there"),
        ("--reference chains --lam 1", "--model builtin has another vocabulary than --reference c"),
    ],
)
def test_mistakes_get_one_line_and_status_2(evaluate, words, message):
    status, _, err = evaluate(f"--benchmarks builtin --limit 2 {words}")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
