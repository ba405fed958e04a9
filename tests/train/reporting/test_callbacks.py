"""Who is told what of a run, and what the screen shows of it."""

import json
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

from objectives.errors import InputError
from train import Callback, Config, train
from train.__main__ import main
from train.config.other_names import OURS

SMALL = Config(
    steps=4, batch_size=8, eval_limit=4, eval_samples=0, eval_every=2, checkpoint_every=2
)
WORDS = "--objective fpa --steps 4 --batch-size 8 --eval-limit 4 --eval-samples 0 --eval-every 2"


class Notes(Callback):
    """Writes down what it is told; fails at a step where it is asked to."""

    def __init__(self, fail_at=None):
        self.told, self.fail_at = [], fail_at

    def on_begin(self, folder, done):
        assert (folder / "config.json").is_file()
        self.told.append(("begin", done))

    def on_step(self, step, metrics):
        self.told.append(("step", step, metrics))
        if step == self.fail_at:
            raise RuntimeError("on purpose")

    def on_evaluation(self, step, metrics):
        self.told.append(("evaluation", step, metrics))

    def on_checkpoint(self, step, folder):
        assert (folder / "model.safetensors").is_file()
        self.told.append(("checkpoint", step, folder.name))

    def on_end(self, result):
        assert result.pictures[0].is_file()
        self.told.append(("end", result.history[-1]["step"]))

    def close(self):
        self.told.append(("close",))

    def lines(self):
        return [entry[2] for entry in self.told if entry[0] in ("step", "evaluation")]

    def order(self):
        return [entry[:2] for entry in self.told]


def test_all_is_told_as_the_files_have_it_and_in_their_order(setup_of, tmp_path):
    config = replace(SMALL, out=str(tmp_path / "run"))
    notes = Notes()
    train("fpa", config, setup=setup_of(config), callbacks=[notes])
    written = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert notes.lines() == [json.loads(line) for line in written]
    looks = [("evaluation", 0), ("evaluation", 0)]  # fixed rows, problems
    first = [("step", 1), ("step", 2), ("evaluation", 2), ("checkpoint", 2)]
    last = [("step", 3), ("step", 4), ("evaluation", 4), ("evaluation", 4), ("checkpoint", 4)]
    assert notes.order() == [("begin", 0), *looks, *first, *last, ("end", 4), ("close",)]


def test_a_run_that_a_callback_ended_goes_on(setup_of, tmp_path):
    config = replace(SMALL, out=str(tmp_path / "run"))
    broken, again = Notes(fail_at=3), Notes()
    with pytest.raises(RuntimeError, match="on purpose"):
        train("fpa", config, setup=setup_of(config), callbacks=[broken])
    assert broken.told[-1] == ("close",)
    train("fpa", config, setup=setup_of(config), callbacks=[again], resume="always")
    assert again.order()[:2] == [("begin", 2), ("step", 3)]
    assert again.order()[-2:] == [("end", 4), ("close",)]


def test_without_a_terminal_there_are_lines(call, tmp_path):
    status, _, err = call(main, f"{WORDS} --log-every 3 --out lines")
    lines = [line for line in err.splitlines() if line.startswith("fpa, step")]
    assert status == 0
    steps = [int(line.split()[2]) for line in lines]
    assert steps == [0, 2, 3, 4, 4]  # evaluations at 0, 2 and 4; every third step, and the last
    assert all("accuracy " in line for line in lines)
    assert "loss " in lines[2]
    assert " left " in lines[2]
    _, out, quiet = call(main, f"{WORDS} --quiet --out quiet")
    assert "fpa, step" not in quiet
    assert "greedy accuracy" in out


def test_on_a_terminal_there_is_a_bar(setup_of, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    config = replace(SMALL, out=str(tmp_path / "run"))
    train("fpa", config, setup=setup_of(config))
    shown = capsys.readouterr().err
    assert "fpa: 100%" in shown
    assert "accuracy=" in shown
    assert "tokens/s=" in shown
    assert "fpa, step" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--report-to tensorbord", "--report-to tensorbord: there are tensorboard, trackio, wandb, "
         "mlflow; did you mean tensorboard?"),
        ("--log-every 0", "--log-every 0: must be above 0"),
        ("--report-to", "--report-to: expected one argument"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_anything_is_written(call, tmp_path, words, said):
    status, _, err = call(main, f"{WORDS} --out run {words}")
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("train.config.trackers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed: pip install 'objective-zoo\[trackers\]'"):
        Config(report_to="trackio")


def test_a_folder_of_a_trackers_name_is_none(monkeypatch, tmp_path):
    (tmp_path / "wandb").mkdir()  # as wandb itself leaves it where it ran
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    if "site-packages" not in str(getattr(find_spec("wandb"), "origin", "")):
        with pytest.raises(InputError, match="not installed"):
            Config(report_to="wandb")


def test_the_names_of_other_trainers_lead_here():
    assert OURS["logging_steps"][0] == ("--log-every",)
    assert "report_to" not in OURS  # it is called so here, too
