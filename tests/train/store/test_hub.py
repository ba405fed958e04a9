"""What is pushed to the hub, held against a server that keeps it."""

import io
import json
from dataclasses import replace

import pandas as pd
import pytest
import yaml
from safetensors.torch import load

from objectives.errors import InputError
from tests.helpers.hub_server import hub_server
from train import Config, train
from train.__main__ import main
from train.rollouts.__main__ import main as rollouts

QUICK = Config(steps=2, batch_size=8, eval_limit=4, eval_samples=1, eval_every=1,
               push_to_hub="me/fpa-run")  # fmt: skip


@pytest.fixture
def hub(monkeypatch):
    with hub_server(monkeypatch) as hub:
        yield hub


def metadata(files):
    text = files["README.md"].decode()
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1]), text.split("---\n", 2)[2]


def test_a_trained_model_is_pushed_with_its_card(hub, setup_of, tmp_path):
    config = replace(QUICK, out=str(tmp_path / "run"), hub_private=True)
    result = train("fpa", config, setup=setup_of(config))
    assert hub.repositories["models/me/fpa-run"]["visibility"] == "private"
    files = hub.files["models/me/fpa-run"]
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md", "metrics.jsonl",
            "training.json", "plots/training.png"} <= files.keys()  # fmt: skip
    assert not [name for name in files if name.startswith("trainer_state")]
    kept = (tmp_path / "run/checkpoints/step-2/model.safetensors").read_bytes()
    assert load(files["model.safetensors"]).keys() == load(kept).keys()
    assert files["model.safetensors"] == kept
    assert json.loads(files["config.json"])["model_type"] == "llama"
    assert json.loads(files["training.json"])["objective"] == "fpa"
    known, text = metadata(files)
    assert known["library_name"] == "transformers"
    assert {"objective-zoo", "fpa"} <= {*known["tags"]}
    assert "license" not in known
    assert "base_model" not in known  # the built-in one is not there
    [entry] = known["model-index"]
    values = {m["name"]: m["value"] for r in entry["results"] for m in r["metrics"]}
    assert values["greedy accuracy"] == round(result.after.greedy.mean, 4)
    assert text.startswith("\n# fpa from builtin")


def test_the_best_checkpoint_is_what_is_pushed(hub, setup_of, tmp_path):
    config = replace(
        QUICK, out=str(tmp_path / "run"), eval_problems="none", eval_fraction=0.01,
        keep_best="heldout/mean_logps/chosen", steps=6, learning_rate=2e-3, warmup_steps=0,
    )  # fmt: skip
    train("reinforce", config, setup=setup_of(config))
    best = json.loads((tmp_path / "run/best.json").read_text())
    assert best["step"] < 6
    kept = tmp_path / "run" / best["checkpoint"] / "model.safetensors"
    assert hub.files["models/me/fpa-run"]["model.safetensors"] == kept.read_bytes()
    assert "model-index" not in metadata(hub.files["models/me/fpa-run"])[0]


def test_an_adapter_of_a_base_on_the_hub_names_both(hub, setup_of, tmp_path):
    from train.store.hub_cards import model_metadata

    config = replace(QUICK, out=str(tmp_path / "run"), lora_rank=2, eval_problems="none")
    train("fpa", config, setup=setup_of(config))
    files = hub.files["models/me/fpa-run"]
    assert "adapter_model.safetensors" in files
    assert metadata(files)[0]["library_name"] == "peft"
    named = {"model": "Qwen/Qwen2.5-0.5B", "data": "me/pairs", "objective": "dpo"}
    known = yaml.safe_load(model_metadata(named, {}, "x").split("---\n")[1])
    assert (known["base_model"], known["datasets"]) == ("Qwen/Qwen2.5-0.5B", "me/pairs")


def test_a_refused_repository_is_one_line_before_anything_is_trained(hub, call, tmp_path):
    hub.refuse.add("/create")
    status, _, err = call(main, "--objective fpa --steps 1 --push-to-hub other/run --out run")
    assert status == 2
    assert "error: --push-to-hub other/run: " in err
    assert "log in with hf auth login" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "config.json").exists()


def test_without_a_token_it_says_so(monkeypatch, setup_of, tmp_path):
    with hub_server(monkeypatch, token=None):
        config = replace(QUICK, out=str(tmp_path / "run"))
        with pytest.raises(InputError, match=r"--push-to-hub me/fpa-run: .*hf auth login"):
            train("fpa", config, setup=setup_of(config))


def test_a_push_that_fails_leaves_the_run_whole(hub, setup_of, tmp_path, capsys):
    hub.refuse.add("/commit/")
    config = replace(QUICK, out=str(tmp_path / "run"))
    train("fpa", config, setup=setup_of(config))
    said = capsys.readouterr().err
    assert "the run is whole: hf upload me/fpa-run" in said
    assert (tmp_path / "run/result.json").is_file()


def test_rollouts_are_pushed_with_a_card(hub, call, monkeypatch, write_rows, tmp_path):
    problems = write_rows([{"question": "1+1=", "answer": "2"}] * 2, "problems.jsonl")
    words = (
        f"--model builtin --problems {problems} --samples 2 --max-new-tokens 8 --out r.parquet "
        f"--push-to-hub me/rolls"
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    status, _, err = call(rollouts, words)
    assert status == 0, err
    files = hub.files["datasets/me/rolls"]
    assert len(pd.read_parquet(io.BytesIO(files["r.parquet"]))) == 4
    known, text = metadata(files)
    assert known["configs"] == [{"config_name": "default", "data_files": "r.parquet"}]
    assert "4 completions of 2 problems" in text
    hub.refuse.add("/commit/")
    status, _, err = call(rollouts, words.replace("r.parquet", "again.parquet"))
    assert status == 2
    assert "again.parquet is whole: hf upload me/rolls again.parquet --repo-type dataset" in err
    assert (tmp_path / "again.parquet").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--push-to-hub me", "--push-to-hub me: expected USER/NAME"),
        ("--push-to-hub a/b/c", "--push-to-hub a/b/c: "),
        ("--push-to-hub me/x --seeds 0,1", "for one run, and this command makes 2"),
    ],
)
def test_mistakes_are_one_line(call, tmp_path, words, said):
    status, _, err = call(main, f"--objective fpa --steps 1 {words}")
    assert status == 2
    assert said in err
    assert err.strip().count("\n") == 0
