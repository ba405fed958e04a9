"""Training from Python: what the command does, with models and data in memory too."""

import json
import subprocess
import sys
from dataclasses import replace

import datasets
import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from objectives.errors import InputError
from train import Config, Result, set_up, train
from train.__main__ import main
from train.models.load import load_model

QUICK = Config(steps=2, batch_size=8, eval_limit=4, eval_samples=1, eval_every=0)
ROWS = [
    {"prompt": f"{n}+1=", "completion": f"{n + 1 + wrong};#{n + 1 + wrong}", "reward": 1.0 - wrong}
    for n in range(8)
    for wrong in (0, 1)
]


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


def metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_it_does_what_the_command_does(call, tmp_path):
    result = train("fpa", replace(QUICK, out=str(tmp_path / "mine")), lam=0.5)
    words = "--objective fpa --lam 0.5 --steps 2 --batch-size 8 --eval-limit 4 --eval-samples 1"
    status, out, _ = call(main, f"{words} --eval-every 0 --out {tmp_path}/theirs")
    assert status == 0
    assert metrics(result.folder) == metrics(tmp_path / "theirs")
    assert result.table() in out
    names = {path.name for path in (tmp_path / "theirs").iterdir()}
    assert names == {path.name for path in result.folder.iterdir()}
    settings = [json.loads((tmp_path / n / "config.json").read_text()) for n in ("mine", "theirs")]
    assert settings[0].keys() == settings[1].keys()
    differ = {name for name in settings[0] if settings[0][name] != settings[1][name]}
    assert differ == {"out", "command"}
    assert settings[0]["command"].startswith("train('fpa', Config(steps=2, ")
    assert settings[0]["command"].endswith("lam=0.5)")


def test_a_result_has_scores_metrics_and_pictures(setup, tmp_path):
    result = train("dpo", replace(QUICK, out=str(tmp_path / "run")), setup=setup, beta=0.2)
    assert isinstance(result, Result)
    assert 0 <= result.before.greedy.mean <= 1
    assert result.after.completions
    assert "completions)" in repr(result.after)
    assert len(repr(result.after)) < 200
    frame = result.metrics()
    assert isinstance(frame, pd.DataFrame)
    assert frame["step"].tolist() == [0, 1, 2]
    assert frame["loss"].notna().tolist() == [False, True, True]
    assert frame["eval/greedy_accuracy"].notna().tolist() == [True, False, True]
    assert all(path.exists() for path in result.pictures)
    again = train("dpo", replace(QUICK, out=str(tmp_path / "run")), setup=setup, resume="auto",
                  beta=0.2)  # fmt: skip
    assert again.history == result.history
    assert again.after.greedy == result.after.greedy
    with pytest.raises(InputError, match="already holds a run"):
        train("dpo", replace(QUICK, out=str(tmp_path / "run")), setup=setup, beta=0.2)
    with pytest.raises(InputError, match=r"--beta 0\.2, not 0\.3"):
        train("dpo", replace(QUICK, out=str(tmp_path / "run")), setup=setup, resume="auto",
              beta=0.3)  # fmt: skip


@pytest.mark.parametrize("kind", ["list", "data set"])
def test_a_loaded_model_and_data_in_memory(kind, tmp_path):
    model, tokenizer = load_model("builtin")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train().requires_grad_(True)
    tokenizer.pad_token = None
    data = ROWS if kind == "list" else datasets.Dataset.from_list(ROWS)
    config = replace(QUICK, out=str(tmp_path / "run"), learning_rate=1e-3)
    result = train("fpa", config, model=(model, tokenizer), data=data)
    assert len(result.history) == 2
    assert result.before is None  # problems of their own are to be named
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["data"] == "16 rows from Python"
    # Both are as they were given.
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert tokenizer.pad_token is None
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    same = train("fpa", replace(config, data=str(file), out=str(tmp_path / "file")))
    assert [line["loss"] for line in same.history] == [line["loss"] for line in result.history]


def test_problems_in_memory_are_sampled_online(tmp_path):
    problems = [{"question": f"{n}+1=", "answer": str(n + 1)} for n in range(4)]
    config = Config(online=True, online_samples=2, batch_size=4, steps=1, eval_problems="none",
                    online_max_new_tokens=8, out=str(tmp_path / "run"))  # fmt: skip
    setup = set_up(config, data=problems)
    assert [p.answer for p in setup.sampler.problems.problems] == ["1", "2", "3", "4"]


def test_runs_share_a_set_up(setup, tmp_path):
    losses = {}
    for name in ("dpo", "sft"):
        shared = train(name, Config(steps=1, out=str(tmp_path / name)), setup=setup)
        losses[name] = shared.history[0]["loss"]
    assert losses["dpo"] != losses["sft"]
    alone = train("sft", Config(steps=1, eval_limit=4, out=str(tmp_path / "alone")))
    assert alone.history[0]["loss"] == losses["sft"]


MISTAKES = [
    (lambda: train("fpo"), "--objective fpo: no objective has this name; did you mean .*fpa"),
    (lambda: train("fpa", lamb=1.0), "--lamb is not a flag of fpa.*did you mean --lam"),
    (lambda: train("fpa", steps=3), r"steps is a setting of every run: give it as Config\(steps="),
    (lambda: train("dpo", beta="high"), "--beta 'high': expected a number"),
    (lambda: Config(stepz=3), "stepz is not a setting of Config; did you mean steps"),
    (lambda: Config(learning_rat=3), "learning_rat is not a setting.* did you mean learning_rate"),
    (lambda: Config(steps="many"), "--steps 'many': expected a whole number"),
    (lambda: Config(steps=-1), "--steps -1: must be 0 or more"),
    (lambda: Config(schedule="stairs"), "--schedule 'stairs': expected one of constant, linear"),
    (lambda: set_up(QUICK, data=[]), "0 rows from Python holds no rows"),
    (lambda: set_up(QUICK, data=["1+1"]), "1 rows from Python row 1: a str, expected a dict"),
    (lambda: set_up(QUICK, data=[{"prompt": "1"}]), "no column completion among prompt"),
    (lambda: set_up(QUICK, model=("gpt2", None)), "must be a causal model of transformers"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_mistakes_are_answered_as_the_command_answers_them(mistake, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        mistake()
    assert not list(tmp_path.iterdir())


def test_of_a_set_up_for_sampling_others_take_the_data_alone(tmp_path):
    online = Config(online=True, online_max_new_tokens=9, eval_problems="none")
    setup = set_up(online)
    assert setup.with_config(Config(eval_problems="none", lora_rank=2)).sampler is None
    assert setup.with_config(replace(online, seed=3)).sampler.problems.max_new_tokens == 9


def test_a_set_up_is_not_asked_for_what_it_has_not(setup, tmp_path):
    with pytest.raises(InputError, match="max_tokens 20: the set-up is made with None"):
        setup.with_config(Config(max_tokens=20))
    with pytest.raises(InputError, match="the set-up has no problems to sample"):
        train("grpo", Config(online=True, out=str(tmp_path / "run")), setup=setup)
    with pytest.raises(InputError, match="give them to set_up"):
        train("sft", setup=setup, data=ROWS)
    # Another model than the built-in one, of random weights.
    tiny = LlamaForCausalLM(
        LlamaConfig(vocab_size=19, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                    num_attention_heads=1)
    )  # fmt: skip
    other = set_up(QUICK, model=(tiny, load_model("builtin")[1]))
    assert other.config.model == "LlamaForCausalLM"


def test_importing_changes_nothing_and_is_quick():
    code = (
        "import sys, train, eval, diagnostics\n"
        "from train import Config, train\n"
        "heavy = {'transformers', 'datasets', 'seaborn', 'matplotlib', 'pandas', 'peft'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "import matplotlib, seaborn\n"
        "before = dict(matplotlib.rcParams), matplotlib.rcParams._get('backend')\n"
        "import train.run.plots, diagnostics.curves.plots, eval.compare.plots\n"
        "import diagnostics.entanglement.plot, diagnostics.extrapolation.plot\n"
        "print((dict(matplotlib.rcParams), matplotlib.rcParams._get('backend')) == before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n"
