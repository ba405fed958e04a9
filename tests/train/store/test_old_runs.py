"""Runs made by an earlier version go on in this one and end as they did there.

In `old_runs/` are two run folders as revision 98b2acb wrote them (the command is in their
config.json), with checkpoints of steps 2 and 4. Between them they have all that a checkpoint may
hold: anchors, lagged policies, λ's and the diagnostics' probes, and samples to be trained on.
"""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from train.__main__ import main

OLD = Path(__file__).parent / "old_runs"
KINDS = ("offline", "online")
OF_COMMAND = {"command", "versions", "git_revision", "threads"}
# Settings that came later, with the values that leave everything as it was.
SINCE = {
    **dict.fromkeys(("schedule_options", "data_config", "data_split", "attention", "epochs")),
    **dict.fromkeys(("eval_data", "eval_fraction", "keep_best", "report_to", "push_to_hub")),
    "hub_private": False, "log_every": 10, "quiet": False, "optimizer": "adamw", "engine": "auto",
    "engine_memory": None, "quantise": None, "activation_offload": False, "reward": None,
}  # fmt: skip
# What a checkpoint has since: of a run that was stopped, what is to be looked at still; of what the
# run is made from, digests; the optimizer's parameters by name; more that is counted and timed.
KEPT_SINCE = (
    "/run/unseen", "/run/digests/", "/optimizer/", "/run/cost/tokens_ahead",
    "/run/cost/held_out_seconds",
)  # fmt: skip
# Another CPU may differ in the last bits, which optimizer states and forecasts amplify.
CLOSE = {"rel": 1e-4, "abs": 1e-5}


def read_lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def plain(values, path=""):
    """Return nested values by their paths, in order; seconds, which are of the machine, as 0."""
    if isinstance(values, dict):
        parts = values.items()
    elif isinstance(values, list):
        parts = enumerate(values)
    else:
        return {path: 0.0 if path.endswith("seconds") else values}
    empty = {} if values else {path: type(values).__name__}
    return empty | {k: v for n, value in parts for k, v in plain(value, f"{path}/{n}").items()}


def assert_close(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert type(found[name]) is type(value), name
        # Booleans and None are no numbers to approx, nor is text.
        assert found[name] == (pytest.approx(value, **CLOSE) if isinstance(value, float) else value)


def command_of(run):
    return json.loads((run / "config.json").read_text())["command"].split()[3:]


@pytest.fixture(scope="module", params=KINDS)
def resumed(request, tmp_path_factory):
    """Return an old run's folder, and a copy that lost its end and went on from step 2."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(OLD / request.param, folder, dirs_exist_ok=True)
    run = folder / "run"
    (run / "plots").mkdir()
    shutil.rmtree(run / "checkpoints" / "step-4")
    sizes = json.loads((run / "checkpoints/step-2/trainer_state.json").read_text())["run"]["files"]
    for name, size in sizes.items():
        (run / name).write_bytes((run / name).read_bytes()[:size])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["train", *command_of(run), "--resume"])
        with redirect_stdout(io.StringIO()) as said:
            main()
    (line,) = [line for line in said.getvalue().splitlines() if "could not be compared" in line]
    assert "without digests of the base, the data, the problems of evaluations" in line
    return OLD / request.param / "run", run


def test_metrics_are_those_of_the_old_run(resumed):
    old, new = (read_lines(run / "metrics.jsonl") for run in resumed)
    assert [line["step"] for line in new] == [0, 1, 2, 2, 3, 4, 4, 4]
    (probe,) = (line for line in new if "probe/seed" in line)  # what the old run did not say
    assert probe["step"] == 4
    new.remove(probe)
    for found, expected in zip(new, old, strict=True):
        assert_close(found, expected)


def test_completions_are_those_of_the_old_run(resumed):
    old, new = (read_lines(run / "eval.jsonl") for run in resumed)
    assert len(old) == 3 * 4 * 2
    assert [list(row.items()) for row in new] == [list(row.items()) for row in old]


def test_diagnostics_are_those_of_the_old_run(resumed):
    if not (resumed[0] / "diagnostics.csv").exists():
        assert not (resumed[1] / "diagnostics.csv").exists()
        return
    old, new = (pd.read_csv(run / "diagnostics.csv") for run in resumed)
    assert set(old["step"]) == {0, 2, 4}
    # On another CPU a skill, a quotient of small differences, moved by two parts in a thousand.
    pd.testing.assert_frame_equal(new, old, rtol=1e-2, atol=1e-5)


@pytest.mark.cpu
def test_the_last_checkpoint_has_the_same_files(resumed):
    old, new = (run / "checkpoints" / "step-4" for run in resumed)
    names = sorted(path.name for path in old.iterdir())
    assert sorted(path.name for path in new.iterdir()) == names
    # Parts, their keys, the fields of cost and of samples, in the same order.
    values = [plain(json.loads((at / "trainer_state.json").read_text())) for at in (new, old)]
    values[0] = {key: own for key, own in values[0].items() if not key.startswith(KEPT_SINCE)}
    assert values[1].pop("/optimizer") == "dict"  # it was empty
    sizes = {key: 0 for key in values[1] if key.startswith("/run/files/")}
    assert_close(*({**own, **sizes} for own in values))
    for name in ("trainer_state.safetensors", "adapter_model.safetensors"):
        found, expected = load_file(new / name), load_file(old / name)
        assert list(found) == list(expected)
        for key, tensor in expected.items():
            assert found[key].dtype == tensor.dtype, key
            if not key.startswith("random/"):  # of torch's own version
                np.testing.assert_allclose(found[key], tensor, rtol=1e-3, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_command_writes_the_same_settings(call, kind, tmp_path):
    """Each setting under the same name with the same value, in the order of before."""
    shutil.copytree(OLD / kind, tmp_path, dirs_exist_ok=True)
    old = json.loads((tmp_path / "run" / "config.json").read_text())
    words = command_of(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    words[words.index("--steps") + 1] = "0"
    assert call(main, words)[0] == 0
    new = json.loads((tmp_path / "run" / "config.json").read_text())
    assert set(new.pop("digests")) == {"base", "data", "eval_problems"}
    assert [name for name in new if name not in SINCE] == list(old)
    assert {name: new.pop(name) for name in SINCE} == SINCE
    changed = OF_COMMAND | {"steps"}
    assert {n: v for n, v in new.items() if n not in changed} == {
        n: v for n, v in old.items() if n not in changed
    }
