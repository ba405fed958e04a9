"""What a run is made from is the same when it goes on: by content, wherever it lies."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from objectives.errors import InputError
from train import Config, train
from train.__main__ import main
from train.models.load import BUILTIN_MODEL, load_model

ROWS = [
    {"prompt": f"{n}+2=", "completion": f"#{n + wrong + 2}", "reward": 1.0 - 2 * wrong}
    for n in (1, 2, 3) for wrong in (0, 1)
]  # fmt: skip
PROBLEMS = [{"question": f"{n}+2=", "answer": str(n + 2)} for n in (1, 2, 3)]
COMMAND = (
    "--objective dpo --model model --data rows.jsonl --eval-problems problems.jsonl "
    "--eval-max-new-tokens 3 --eval-samples 0 --batch-size 2 --steps 2 --checkpoint-every 1 "
    "--out run"
)


def unfinished(run):
    (run / "result.json").unlink()
    shutil.rmtree(run / "checkpoints" / "step-2")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a model, rows, problems, and runs after a step, one with an adapter."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(BUILTIN_MODEL, folder / "model")
    for name, rows in (("rows", ROWS), ("problems", PROBLEMS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, words in (("run", ""), ("adapted", "--lora-rank 1 --out adapted")):
            patch.setattr("sys.argv", ["train", *COMMAND.split(), *words.split()])
            main()
            unfinished(folder / name)
    return folder


@pytest.fixture
def resume(made, call, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return lambda words="": call(main, f"{COMMAND} {words} --resume")


def changed_weights(folder):
    file = folder / "model" / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][5] += 1e-3
    save_file(weights, file, {"format": "pt"})


def changed(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


BASE = "the base (--model model)"
CHANGES = {
    "weights": (changed_weights, BASE),
    "settings": (changed("model/config.json", '"rms_norm_eps": ', '"rms_norm_eps": 1'), BASE),
    "tokenizer": (changed("model/tokenizer_config.json", "{", '{"note": 1, '), BASE),
    "a row's reward": (changed("rows.jsonl", "-1.0", "-2.0"), "the data (--data rows.jsonl)"),
    "a row's word": (changed("rows.jsonl", "#3", "#4"), "the data (--data rows.jsonl)"),
    "an answer": (changed("problems.jsonl", '"4"', '"5"'),
                  "the problems of evaluations (--eval-problems problems.jsonl)"),
}  # fmt: skip


@pytest.mark.parametrize("run", ["run", "adapted"])
@pytest.mark.parametrize(("change", "what"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_named_and_the_run_is_left_alone(resume, tmp_path, change, what, run):
    change(tmp_path)
    words = "--lora-rank 1 --out adapted" if run == "adapted" else ""
    before = {p: p.read_bytes() for p in (tmp_path / run).rglob("*") if p.is_file()}
    status, _, err = resume(words)
    assert status == 2
    assert err == (
        f"error: {run}/checkpoints/step-1: {what} changed since the run began, by the content: put "
        f"it back as it was, or start again with another --out\n"
    )
    assert {p: p.read_bytes() for p in (tmp_path / run).rglob("*") if p.is_file()} == before


def test_both_are_named(resume, tmp_path):
    changed_weights(tmp_path)
    changed("rows.jsonl", "-1.0", "-2.0")(tmp_path)
    assert f"{BASE} and the data (--data rows.jsonl) changed" in resume()[2]


@pytest.mark.parametrize("words", ["", "--lora-rank 1 --out adapted"])
def test_the_same_contents_go_on_and_are_kept_again(resume, tmp_path, words):
    """Other times, a copy in the place of a link, files that no model is made of."""
    for path in (*(tmp_path / "model").iterdir(), tmp_path / "rows.jsonl"):
        os.utime(path, (1, 1))
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    (tmp_path / "model").symlink_to("elsewhere")
    (tmp_path / "model" / "README.md").write_text("read me")
    status, out, err = resume(words)
    assert status == 0, err
    assert "could not be compared" not in out
    run = tmp_path / (words.split() or ["run"])[-1]
    kept = [json.loads((run / f"checkpoints/step-{n}/trainer_state.json").read_text())["run"]
            for n in (1, 2)]  # fmt: skip
    of_run = json.loads((run / "config.json").read_text())["digests"]
    assert kept[0]["digests"] == kept[1]["digests"] == of_run
    assert set(of_run) == {"base", "data", "eval_problems"}
    assert all(len(own) in (32, 64) for own in of_run.values())


def test_other_versions_are_said_and_decide_nothing(resume, tmp_path):
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    config["versions"]["torch"] = "2.0.1"
    config["git_revision"] = "abc-dirty"
    file.write_text(json.dumps(config))
    status, out, _ = resume()
    assert status == 0
    (line,) = [line for line in out.splitlines() if "begun with" in line]
    assert "git revision abc-dirty, now " in line or "git revision" not in line
    assert "torch 2.0.1, now 2." in line
    assert "transformers" not in line
    now = json.loads(file.read_text())
    (entry,) = now.pop("resumed")
    assert now == config  # what it was begun with stays
    assert (entry["step"], entry["versions"]["torch"]) == (1, torch.__version__)
    assert entry["command"].endswith("--resume")


def test_what_it_was_gone_on_with_is_what_is_compared(resume, tmp_path):
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    here = {name: config[name] for name in ("command", "versions", "git_revision", "threads")}
    config["versions"] = {**config["versions"], "torch": "2.0.1"}
    file.write_text(json.dumps({**config, "resumed": [{"step": 1, **here}]}))
    status, out, _ = resume()
    assert status == 0
    assert "begun with" not in out
    assert len(json.loads(file.read_text())["resumed"]) == 1


def test_of_an_earlier_version_it_is_said_once(resume, tmp_path):
    file = tmp_path / "run/checkpoints/step-1/trainer_state.json"
    state = json.loads(file.read_text())
    del state["run"]["digests"]
    file.write_text(json.dumps(state))
    changed("rows.jsonl", "-1.0", "-2.0")(tmp_path)
    status, out, _ = resume()
    assert status == 0
    assert out.count("without digests of the base, the data, the problems of evaluations") == 1
    unfinished(tmp_path / "run")  # from its second checkpoint on there are some


def test_a_model_and_rows_from_python(tmp_path):
    config = Config(
        steps=2, batch_size=2, eval_problems="none", checkpoint_every=1, out=str(tmp_path / "run")
    )
    model, tokenizer = load_model("builtin")
    train("dpo", config, model=(model, tokenizer), data=ROWS)
    unfinished(tmp_path / "run")
    other = [{**ROWS[0], "completion": "#5"}, *ROWS[1:]]
    with pytest.raises(InputError, match=r"step-1: the data \(--data 6 rows from Python\) changed"):
        train("dpo", config, model=(model, tokenizer), data=other, resume="always")
    norm = model.model.norm.weight
    before = norm.detach().clone()
    norm.data[3] += 1
    with pytest.raises(InputError, match=r"step-1: the base \(--model .*\) changed"):
        train("dpo", config, model=(model, tokenizer), data=ROWS, resume="always")
    norm.data.copy_(before)
    assert train("dpo", config, model=(model, tokenizer), data=ROWS, resume="always").history


def test_online_the_problems_are_the_data(call, tmp_path, write_rows):
    """Beside a run on rollouts, each knows what it is trained on itself."""
    words = (
        "--objective grpo,dpo --eval-problems none --steps 2 --checkpoint-every 1 --batch-size 16"
    )
    online = "--online-samples 4 --online"
    assert call(main, f"{words} {online} grpo")[0] == 0
    runs = [tmp_path / "runs" / name for name in ("grpo", "dpo")]
    kept = [json.loads((run / "config.json").read_text())["digests"] for run in runs]
    assert Counter(len(own["data"]) for own in kept) == {64: 1, 32: 1}
    assert kept[0]["base"] == kept[1]["base"]
    for run in runs:
        unfinished(run)
    for name, how in (("grpo", online), ("dpo", "")):
        alone = words.replace("grpo,dpo", name)
        status, _, err = call(main, f"{alone} {how} --out {Path('runs') / name} --resume")
        assert status == 0, err
