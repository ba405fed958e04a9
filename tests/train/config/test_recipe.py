"""Recipes: what they may hold, and the ready ones trained on their models in small."""

import json
import shutil
from dataclasses import asdict
from functools import partial

import pytest
import torch
from transformers import Qwen2ForCausalLM

from tests.helpers.paper_models import NAMES, tiny_model, write_tiny_model
from train.__main__ import main
from train.config.recipe import READY, read_recipe
from train.config.settings import Config
from train.models.load import load_model

QUICK = {"steps": 4, "batch_size": 8, "checkpoint_every": 2, "keep_checkpoints": 2,
         "eval_max_new_tokens": 4, "eval_batch_size": 5, "learning_rate": 1e-3}  # fmt: skip


@pytest.fixture
def train(call):
    return partial(call, main)


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_recipe_is_a_configuration(name):
    values = read_recipe(name)
    config = Config(**values)
    assert asdict(config).items() >= values.items()
    assert config.warmup_steps < config.steps
    shape = json.loads((READY / f"{name}.json").read_text())
    assert config.max_tokens <= shape["max_position_embeddings"]
    assert config.max_tokens <= config.tokens_per_microbatch


def rows(write_rows, chat):
    """Write rollouts of a few problems: two correct and two incorrect ones each."""
    table = []
    for n in range(1, 9):
        question = f"what is {n}+{n}?"
        prompt = [{"role": "user", "content": question}] if chat else question
        for answer in (2 * n, 2 * n + 1, 2 * n, 2 * n - 1):
            steps = "so " * (answer % 3)  # of several lengths
            table.append({"prompt": prompt, "completion": f"{steps}it is \\boxed{{{answer}}}",
                          "reward": 1.0 if answer == 2 * n else -1.0})  # fmt: skip
    return write_rows(table)


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_recipe_trains_its_model_in_small(name, train, write_rows, tmp_path):
    folder = write_tiny_model(name, tmp_path / "model")
    data = rows(write_rows, chat=name != "deepseek-math-7b")
    words = f"--objective fpa --recipe {name} --model {folder} --data {data} --out run"
    words += " --eval-problems builtin --eval-limit 3"
    words += "".join(f" --{n.replace('_', '-')} {value}" for n, value in QUICK.items())
    status, out, err = train(words)
    assert status == 0, err
    assert "32 trajectories of 8 prompts, 50.0% correct" in out
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings.items() >= {**read_recipe(name), "model": str(folder), **QUICK}.items()
    assert settings["command"] == f"python -m train {words}"

    # The trained model is of the same kind, and read back it goes on as if it had never stopped.
    last = tmp_path / "run" / "checkpoints" / "step-4"
    trained, tokenizer = load_model(str(last))
    base = tiny_model(name)
    assert type(trained) is type(base)
    assert trained.config.rope_parameters == base.config.rope_parameters
    tied = trained.lm_head.weight is trained.model.embed_tokens.weight
    assert tied == (name == "llama-3.2-3b-instruct")
    assert (trained.model.layers[0].self_attn.q_proj.bias is not None) == isinstance(
        trained, Qwen2ForCausalLM
    )
    if tokenizer.chat_template:
        assert tokenizer.chat_template == load_model(str(folder))[1].chat_template
    both = zip(trained.parameters(), base.parameters(), strict=True)
    assert not any(torch.equal(one, other) for one, other in both)
    shutil.rmtree(last)
    (tmp_path / "run" / "result.json").unlink()
    status, _, err = train(words + " --resume")
    assert status == 0, err
    for one, other in zip(load_model(str(last))[0].parameters(), trained.parameters(), strict=True):
        assert torch.equal(one, other)


def test_flags_win_over_a_recipe_of_one_s_own(train, tmp_path):
    (tmp_path / "mine.json").write_text('{"steps": 3, "batch_size": 8, "eval_limit": 2, "seed": 5}')
    status, _, err = train("--objective sft --recipe mine.json --steps 1 --eval-samples 0")
    assert status == 0, err
    settings = json.loads((tmp_path / "runs" / "sft" / "config.json").read_text())
    wanted = {"steps": 1, "batch_size": 8, "eval_limit": 2, "seed": 5, "eval_samples": 0}
    assert settings.items() >= wanted.items()


def test_a_size_of_micro_batches_can_be_taken_back(train, tmp_path):
    (tmp_path / "mine.toml").write_text("tokens_per_microbatch = 200\nsteps = 0\neval_limit = 1\n")
    words = "--objective sft --recipe mine.toml --micro-batch-size 2 --eval-samples 0"
    status, _, err = train(words)
    assert (status, err) == (
        2,
        "error: --tokens-per-microbatch 200: not with --micro-batch-size 2: give one, and none to "
        "the other\n",
    )
    assert train(words + " --tokens-per-microbatch none")[0] == 0


MISTAKES = [
    ("toml", "batch_size = 'all'", "batch_size is 'all', expected a whole number"),
    ("toml", "batch_size = 2.5", "batch_size is 2.5, expected a whole number"),
    ("toml", "batch_size = true", "batch_size is True, expected a whole number"),
    ("toml", "learning_rate = '1e-5'", "learning_rate is '1e-5', expected a number"),
    ("toml", "compile = 1", "compile is 1, expected true or false"),
    ("toml", "model = 7", "model is 7, expected text"),
    ("toml", "schedule = 'step'", "'step', expected one of constant, linear, cosine"),
    ("toml", "learning-rate = 1e-5", "learning-rate is not a setting"),
    ("toml", "lam = 2.0", "lam is not a setting that every objective has (--lam"),
    ("toml", "online = true", "online is not a setting"),
    ("toml", "[train]\nsteps = 3", "train is not a setting"),
    ("toml", "steps: 3", "not TOML"),
    ("json", "{'steps': 3}", "not JSON"),
    ("json", "[3]", "expected names of settings with values"),
    ("json", '{"seed": null}', "seed is None, expected a whole number"),
    ("yaml", "steps: 3", "--recipe mine.yaml: not one of deepseek-math-7b, "),
]


@pytest.mark.parametrize(("ending", "text", "message"), MISTAKES)
def test_a_mistaken_recipe_gets_one_line(train, tmp_path, ending, text, message):
    file = f"mine.{ending}"
    (tmp_path / file).write_text(text)
    status, _, err = train(f"--objective fpa --recipe {file}")
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert file in err
    assert message in err


def test_an_unknown_recipe(train):
    assert train("--objective fpa --recipe llama")[2] == (
        "error: --recipe llama: not one of deepseek-math-7b, llama-3.2-3b-instruct, "
        "qwen2.5-math-7b, and no .toml or .json file that is there\n"
    )


def test_recipes_are_listed_and_fill_the_help(train):
    out = train("--list")[1]
    assert all(f"\n{name} " in out for name in NAMES)
    out = train("--recipe qwen2.5-math-7b --help")[1]
    assert "(default: Qwen/Qwen2.5-Math-7B)" in out
