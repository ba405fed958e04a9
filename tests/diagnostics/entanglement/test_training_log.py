"""Logs of TRL and of ours: which side fell from which step on, and files that are none."""

import json

import pytest

from diagnostics.entanglement.training_log import read_training_log
from objectives.errors import InputError

UP_AND_DOWN = [-1.08, -0.99, -0.9, -0.8, -0.7, -0.6, -0.55, -0.9, -1.2, -1.5, -1.8, -2.1, -2.4]


def entry(step, chosen, rejected):
    """Return what TRL 1.16's DPOTrainer logs."""
    return {
        "entropy": 0.0486, "epoch": step / 236, "grad_norm": 0.765, "learning_rate": 1e-05,
        "logits/chosen": -0.0377, "logits/rejected": -0.0348, "logps/chosen": chosen,
        "logps/rejected": rejected, "loss": 0.689, "mean_token_accuracy": 0.976,
        "num_tokens": 28446.0, "rewards/accuracies": 0.806, "rewards/chosen": 0.0053,
        "rewards/margins": 0.0079, "rewards/rejected": -0.0025, "step": step,
    }  # fmt: skip


def state(history):
    """Return a trainer_state.json as transformers' Trainer writes it."""
    return json.dumps({
        "best_global_step": None, "best_metric": None, "best_model_checkpoint": None,
        "epoch": 0.55, "eval_steps": 500, "global_step": 130, "is_hyper_param_search": False,
        "is_local_process_zero": True, "is_world_process_zero": True, "log_history": history,
        "logging_steps": 10, "max_steps": 130, "num_input_tokens_seen": 0, "num_train_epochs": 1,
        "save_steps": 150, "stateful_callbacks": {}, "total_flos": 0.0, "train_batch_size": 32,
        "trial_name": None, "trial_params": None,
    })  # fmt: skip


def history():
    return [entry(10 * n, value, -2.0 - n) for n, value in enumerate(UP_AND_DOWN, 1)]


def test_a_log_of_trl(tmp_path):
    path = tmp_path / "trainer_state.json"
    rows = [*history(), {"train_loss": 0.4, "train_runtime": 9.0, "step": 130, "epoch": 0.55}]
    path.write_text(state(rows))
    courses = read_training_log(path).courses()
    chosen, rejected = courses["logps/chosen"], courses["logps/rejected"]
    assert chosen.rose
    assert chosen.fell
    # -.6 is the median of .7 .6 .55 and of .6 .55 .9, about steps 60 and 70.
    assert chosen.turn_step == 70
    assert chosen.turn == -0.6
    assert rejected.fell
    assert not rejected.rose
    assert rejected.turn_step == 10
    assert rejected.last_step == 130


def test_a_log_of_ours_and_a_run_that_went_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 0, "eval/greedy_accuracy": 0.2}]
    lines += [{"step": n, "logps/chosen": -1.0, "logps/rejected": -2.0} for n in (1, 2, 3)]
    lines += [{"step": 3, "logps/chosen": -1.5}, {"step": 4, "logps/chosen": float("nan")}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(text + '{"step": 5, "logps/ch')  # as an interruption leaves it
    log = read_training_log(path)
    steps, values = log.series["logps/chosen"]
    assert steps.tolist() == [1, 2, 3]
    assert values.tolist() == [-1, -1, -1.5]
    assert log.left_out == 1


def test_noise_is_no_turn(tmp_path):
    path = tmp_path / "trainer_state.json"
    values = [-1.0, -1.3, -0.9, -1.2, -1.0, -1.1, -0.8, -1.2, -1.0, -1.3]
    path.write_text(state([entry(n, v, v) for n, v in enumerate(values)]))
    course = read_training_log(path).courses()["logps/chosen"]
    assert not course.fell
    assert not course.rose


MISTAKES = [
    ("gone.json", None, "--log gone.json: no such file"),
    ("a.json", "{", "a.json: not JSON"),
    ("a.json", "[1]", "a.json: no list log_history"),
    ("a.json", '{"log_history": {}}', "a.json: no list log_history"),
    ("a.json", '{"log_history": [3]}', "a.json log_history entry 1: 3, expected an object"),
    ("a.json", '{"log_history": [{"loss": 1, "step": 1}]}', "no entry has logps/chosen"),
    ("a.json", '{"log_history": [{"logps/chosen": "x", "step": 1}]}', 'logps/chosen is "x"'),
    ("a.json", '{"log_history": [{"logps/chosen": -1}]}', "entry 1: step is null"),
    ("a.jsonl", '{"step": 1}\n[]\n', "a.jsonl line 2: expected a JSON object"),
    ("a.jsonl", "", "no entry has logps/chosen"),
]


@pytest.mark.parametrize(("name", "text", "message"), MISTAKES)
def test_a_file_that_is_no_log_is_named(tmp_path, monkeypatch, name, text, message):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text)
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        read_training_log(Path(name))
    assert message in str(caught.value)


def test_a_folder_is_no_log(tmp_path):
    with pytest.raises(InputError, match=r"a folder: name its trainer_state\.json"):
        read_training_log(tmp_path)
