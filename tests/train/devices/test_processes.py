"""Two processes give what one gives: gradients, metrics, checkpoints; replicated and sharded."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from objectives import OBJECTIVES
from objectives.errors import InputError
from tests.helpers.launching import launched
from tests.helpers.started_runs import session
from tests.helpers.two_processes import CASES, gradients, small_set_up
from train.__main__ import main
from train.devices import processes
from train.models.load import load_model
from train.store.checkpoints import find_checkpoints
from train.store.folder import read_metrics

pytestmark = pytest.mark.cpu

SMALL = "--steps 4 --batch-size 10 --eval-limit 9 --eval-samples 2 --eval-every 0 --device cpu"


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    return small_set_up(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module", params=["replicated", "sharded"])
def by_two(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    status, _, errors = launched(request.param, "tests.helpers.two_processes", folder)
    assert status == 0, errors[-3000:]
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_gradient_of_one(case, by_two, setup, tmp_path):
    grads, values = gradients(setup, case, tmp_path)
    found, known = load_file(by_two / f"{case}.safetensors"), (by_two / f"{case}.json").read_text()
    assert found.keys() == grads.keys()
    for name, gradient in grads.items():
        scale = gradient.abs().max().item()
        assert scale > 0
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5 * scale)
    known = json.loads(known)
    known["padding"] = values["padding"]  # other micro-batches have other padding
    assert known == pytest.approx(values, rel=1e-4, abs=1e-6)


def test_the_cases_are_of_every_kind():
    entries = [OBJECTIVES[name] for name, _, _ in CASES.values()]
    assert {entry.unit for entry in entries} == {entry.unit for entry in OBJECTIVES.values()}
    needed = set().union(*(entry.needs for entry in OBJECTIVES.values()))
    assert set().union(*(entry.needs for entry in entries)) == needed


def weights(folder):
    return load_file(folder / "checkpoints" / "step-4" / "model.safetensors")


def test_a_sharded_run_goes_on_from_its_checkpoint_in_the_same_bits(tmp_path, call):
    command = ["train", "--objective", "fpa", *SMALL.split(), "--checkpoint-every", "2"]
    command += ["--reference-cache", "off", "--out", tmp_path / "run"]
    status, out, errors = launched("sharded", *command)
    assert status == 0, errors[-3000:]
    assert "2 processes, its weights spread over them" in out
    assert out.count("greedy accuracy") == 1  # one process prints
    whole, lines = weights(tmp_path / "run"), read_metrics(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["processes"] == 2
    # As if it had been killed after step 3.
    (tmp_path / "run" / "result.json").unlink()
    shutil.rmtree(find_checkpoints(tmp_path / "run")[4])
    status, _, errors = launched("sharded", *command, "--resume")
    assert status == 0, errors[-3000:]
    assert read_metrics(tmp_path / "run") == lines
    assert all(torch.equal(whole[name], value) for name, value in weights(tmp_path / "run").items())
    load_model(str(tmp_path / "run" / "checkpoints" / "step-4"))  # of the usual layout

    # Its state is in two parts, which one process alone cannot go on from.
    (tmp_path / "run" / "result.json").unlink()
    shutil.rmtree(find_checkpoints(tmp_path / "run")[4])
    status, _, error = call(main, [*command[1:], "--resume"])
    assert status == 2
    assert "trainer_state-0-of-2.json and not in trainer_state.json: go on with as many" in error


def test_replicated_processes_sample_and_train_online_as_one(tmp_path, call):
    command = ["--objective", "grpo", "--online", *SMALL.split(), "--batch-size", "16"]
    status, _, errors = launched("replicated", "train", *command, "--out", tmp_path / "two")
    assert status == 0, errors[-3000:]
    assert call(main, [*command, "--out", tmp_path / "one"])[0] == 0
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    for mine, theirs in zip(one, two, strict=True):
        for name in ("padding", "flops"):  # other micro-batches pad and share other rows
            if name in mine:
                mine[name] = theirs[name]
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    mine, theirs = (weights(tmp_path / name) for name in ("one", "two"))
    for name, value in mine.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-3, atol=1e-4)


def test_bad_input_is_one_line_for_all(tmp_path):
    (tmp_path / "something").touch()
    command = ["train", "--objective", "fpa", *SMALL.split(), "--out", tmp_path]
    status, _, errors = launched("sharded", *command)
    assert status != 0
    assert errors.count("error: ") == 1
    assert f"error: {tmp_path} already holds a run" in errors
    assert "[rank" not in errors  # no traceback of ours


def test_a_reward_that_fails_in_the_second_process_is_told_by_the_first(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def f(prompt, completion, row):\n"
        "    return None if int(__import__('os').environ['RANK']) else 1.0\n"
    )
    reward = f"{tmp_path / 'mine.py'}:f"
    command = ["train", "--objective", "grpo", "--online", "--device", "cpu", "--reward", reward,
               "--batch-size", "8", "--online-samples", "2", "--steps", "1", "--eval-problems",
               "none", "--out", tmp_path / "run"]  # fmt: skip
    status, _, errors = launched("replicated", *command)
    assert status != 0
    assert errors.count("error: ") == 1
    assert f"error: --reward {reward}: the problem '" in errors
    assert "it gave None (NoneType), where a finite float is wanted" in errors


def test_gradients_of_pairs_are_refused_where_weights_are_sharded(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "sharding", lambda: True)
    watched = setup.with_config(replace(setup.config, diagnose_every=2))
    with pytest.raises(InputError, match="--diagnose-every: a pair's gradients need all weights"):
        session(watched, "fpa", tmp_path / "run")
