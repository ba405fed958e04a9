"""Trackers for real, their files read back; each where its package is installed."""

import json
import sqlite3
from dataclasses import replace

import pytest

from tests.train.reporting.test_callbacks import SMALL, Notes
from train import train


@pytest.fixture
def tell(setup_of, tmp_path, monkeypatch):
    """Return a function that stops a run at step 3, goes on from step 2, and gives its metrics."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlflow'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def tell(name):
        config = replace(SMALL, out=str(tmp_path / "run"), report_to=name)
        with pytest.raises(RuntimeError):
            train("fpa", config, setup=setup_of(config), callbacks=[Notes(fail_at=3)])
        train("fpa", config, setup=setup_of(config), resume="always")
        lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    return tell


def values(lines, name):
    return {line["step"]: line[name] for line in lines if name in line}


def test_tensorboard_has_what_the_files_have(tell, tmp_path):
    pytest.importorskip("tensorboard", reason="needs pip install tensorboard")
    lines = tell("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "run/tensorboard"), {"images": 0})
    found.Reload()
    for name in ("loss", "grad_norm", "eval/greedy_accuracy", "probe/mean_logps/chosen"):
        told = {event.step: event.value for event in found.Scalars(name)}
        assert told == pytest.approx(values(lines, name))
    assert len(found.Scalars("loss")) == 4  # step 3, told before the stop, counts once
    assert found.Tags()["images"] == ["training"]
    [table] = found.Tensors("table/text_summary")
    assert "greedy accuracy" in table.tensor_proto.string_val[0].decode()
    settings = next((tmp_path / "run/tensorboard").rglob("hparams.yml")).read_text()
    assert "objective: fpa" in settings


def test_trackio_goes_on_in_one_run(tell, tmp_path):
    pytest.importorskip("trackio", reason="needs pip install trackio")
    lines = tell("trackio")
    with sqlite3.connect(tmp_path / "trackio/objective-zoo.db") as file:
        rows = file.execute("select run_name, step, metrics from metrics order by id").fetchall()
        kept = file.execute("select config from configs").fetchall()
    assert {name for name, _, _ in rows} == {
        json.loads((tmp_path / "run/trackers.json").read_text())["trackio"]
    }
    told = [{"step": step, **json.loads(text)} for _, step, text in rows]
    assert values(told, "loss") == pytest.approx(values(lines, "loss"))
    assert values(told, "eval/greedy_accuracy") == values(lines, "eval/greedy_accuracy")
    assert "greedy accuracy" in next(line["table"] for line in told if "table" in line)
    assert any("training" in line for line in told)
    assert json.loads(kept[0][0])["objective"] == "fpa"


def test_mlflow_goes_on_in_one_run(tell, tmp_path):
    pytest.importorskip("mlflow", reason="needs pip install mlflow")
    lines = tell("mlflow")
    [file] = (tmp_path / "mlflow").rglob("metrics/loss")
    told = {int(step): float(value) for _, value, step in map(str.split, file.open())}
    assert told == pytest.approx(values(lines, "loss"))
    assert [*(tmp_path / "mlflow").rglob("artifacts/training.png")]


def test_a_tracker_that_fails_does_not_end_the_run(setup_of, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboard", reason="needs pip install tensorboard")
    from accelerate.tracking import TensorBoardTracker

    def fail(self, values, step=None, **more):
        raise OSError("no room")

    monkeypatch.setattr(TensorBoardTracker, "log", fail)
    config = replace(SMALL, out=str(tmp_path / "run"), report_to="tensorboard")
    result = train("fpa", config, setup=setup_of(config))
    assert result.history[-1]["step"] == 4
    said = "--report-to tensorboard: it failed at step 0 (no room); the run goes on without it"
    assert capsys.readouterr().err.count(said) == 1
