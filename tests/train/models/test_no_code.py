"""Code that comes with a model is not run, whoever says `y` on standard input."""

import io
import json
from pathlib import Path

import pytest

from eval.__main__ import main as evaluate
from tests.helpers.architectures import tiny
from train.__main__ import main as train
from train.builtin.base_model import make_tokenizer
from train.memory.__main__ import main as memory
from train.merge import main as merge

CODE = """
from pathlib import Path
Path({trace!r}).write_text("run")
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig):
    model_type = "own"
class Model(LlamaForCausalLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""
REMEDY = "needs Python code that comes with it (auto_map), which is never run here: name a model"
TRAIN = "--objective fpa --steps 1 --eval-problems none --out run --model"
COMMANDS = {
    "train": (train, TRAIN),
    "memory": (memory, "--model"),
    "eval": (evaluate, "--benchmarks builtin --limit 2 --model"),
}


@pytest.fixture(autouse=True)
def yes(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))


def change(file: Path, **values) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def coded(folder: Path, trace: Path, of: str) -> Path:
    """Write a model whose configuration and class, or whose tokenizer, are of its own code."""
    tiny("llama", len(make_tokenizer())).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    (folder / "own.py").write_text(CODE.format(trace=str(trace)))
    if of == "tokenizer":
        change(
            folder / "tokenizer_config.json",
            tokenizer_class="Tokenizer",
            auto_map={"AutoTokenizer": [None, "own.Tokenizer"]},
        )
    else:
        change(
            folder / "config.json",
            model_type="own",
            architectures=["Model"],
            auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
        )
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_a_model_s_code(command, tmp_path, call):
    folder = coded(tmp_path / "model", tmp_path / "trace", "model")
    main, words = COMMANDS[command]
    status, out, err = call(main, [*words.split(), folder])
    assert status == 2
    assert REMEDY in err.splitlines()[-1]
    assert "[y/N]" not in out
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("command", ["train", "eval"])
def test_no_command_runs_a_tokenizer_s_code(command, tmp_path, call):
    folder = coded(tmp_path / "model", tmp_path / "trace", "tokenizer")
    main, words = COMMANDS[command]
    status, out, err = call(main, [*words.split(), folder])
    assert "[y/N]" not in out
    assert not (tmp_path / "trace").exists()
    assert status == 0 or REMEDY in err


@pytest.mark.parametrize("of", ["base", "tokenizer"])
def test_no_adapter_runs_its_base_s_code_or_its_own(of, tmp_path, call):
    base = coded(tmp_path / "base", tmp_path / "trace", "model") if of == "base" else "builtin"
    adapter = coded(tmp_path / "adapter", tmp_path / "trace", "tokenizer")
    settings = {"peft_type": "LORA", "base_model_name_or_path": str(base)}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    for main, words in ((train, TRAIN), (merge, "--out whole --model")):
        status, out, err = call(main, [*words.split(), adapter])
        assert (status, err.count("error:")) == (2, 1)
        assert "[y/N]" not in out
        assert not (tmp_path / "trace").exists()


def test_attention_of_the_hub_is_not_asked_for(tmp_path, call):
    folder = tmp_path / "model"
    tiny("llama", len(make_tokenizer())).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    change(folder / "config.json", attn_implementation="someone/attention")
    status, _, err = call(train, [*TRAIN.split(), folder])
    assert status == 2
    assert "asks for attention of code from the hub (someone/attention), which is not run" in err
