"""`python -m diagnostics.extrapolation`: from stored forecasts, from checkpoints, from neither."""

import json
import os
import shutil
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from diagnostics.extrapolation.__main__ import main
from diagnostics.extrapolation.score import COLUMNS
from diagnostics.extrapolation.words import summarise, words
from tests.helpers.started_runs import session
from tests.helpers.tiny import SIZES
from train.config.settings import Config

WATCHED = Config(
    steps=5, batch_size=8, learning_rate=5e-4, warmup_steps=0, eval_problems="none",
    diagnose_every=1, diagnose="extrapolation", horizons="1,2", checkpoint_every=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(setup_of, tmp_path_factory):
    """Return a folder with a run `watched`, and `saved` with the same checkpoints alone."""
    folder = tmp_path_factory.mktemp("runs")
    setup = setup_of(WATCHED)
    session(setup, "fpa", folder / "watched", future_from="lagged:2").train({})
    unwatched = replace(WATCHED, diagnose_every=0, diagnose=None, horizons=None)
    setup = replace(setup, config=unwatched)
    session(setup, "fpa", folder / "saved", future_from="lagged:2").train({})
    return folder


@pytest.fixture
def command(call):
    return lambda *arguments: call(main, arguments)


def test_stored_forecasts_and_those_of_checkpoints_agree(runs, command):
    status, out, _ = command("--run", runs / "watched")
    assert status == 0
    assert "forecasts from initial" in out
    assert "forecasts from lagged:2" in out
    assert "The best λ over horizon / age" in out
    folder = runs / "watched" / "extrapolation"
    assert (folder / "forecasts-lagged-2.png").stat().st_size > 20_000
    assert len(pd.read_csv(folder / "summary.csv")) > 4
    status, out, _ = command("--run", runs / "saved")
    assert status == 0
    assert "making them from 5 checkpoints" in out
    stored = pd.read_csv(folder / "forecasts.csv").query("reference == 'initial'")
    made = pd.read_csv(runs / "saved" / "extrapolation" / "forecasts.csv")
    keys = ["step", "quantity", "horizon", "lam"]
    wanted = ["forecast_error", "displacement_cosine", "weight_error"]
    both = stored[stored["quantity"].isin(wanted)].merge(made, on=keys)
    assert len(both) == len(stored[stored["quantity"].isin(wanted)])
    assert both["value_x"].to_numpy() == pytest.approx(both["value_y"].to_numpy(), rel=1e-4)


def test_a_run_without_either_and_other_mistakes_get_one_line(runs, command, tmp_path):
    settings = {"objective": "fpa", "model": "builtin", "data": "builtin"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    for words_, message in (
        (("--run", tmp_path), "no forecast was scored in it and it has not 3 checkpoints"),
        (("--run", tmp_path / "nowhere"), "no run there (it has no config.json)"),
        ((), "name one with --run"),
        (("--run", runs / "watched", "--lam", "7"), "--lam 7: choose from 0, 0.25, 0.5"),
    ):
        status, _, err = command(*words_)
        assert status == 2
        assert len(err.strip().splitlines()) == 1
        assert message in err


def test_a_checkpoint_of_another_model_gets_one_line(runs, command, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs / "saved", run)
    shutil.rmtree(run / "checkpoints" / "step-2")
    config = LlamaConfig(**{**SIZES, "vocab_size": 40})
    LlamaForCausalLM(config).save_pretrained(run / "checkpoints" / "step-2")
    for file in (run / "checkpoints" / "step-1").glob("token*"):
        shutil.copy(file, run / "checkpoints" / "step-2")
    status, _, err = command("--run", run)
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert "checkpoint 2 is of another model" in err


def long_table(skills):
    """Return forecasts 10 steps ahead with λ* = 10 / t and the given skills at λ = 1."""
    rows = []
    for number, skill in enumerate(skills, 1):
        step = 10 * number
        values = [("best_lam", None, 10 / step), ("best_lam_skill", 10 / step, max(skill, 0.05)),
                  ("forecast_skill", 1.0, skill), ("displacement_cosine", None, 0.5)]  # fmt: skip
        rows += [(step, name, "initial", 10, lam, value) for name, lam, value in values]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_words_say_what_the_numbers_do():
    summary = summarise(long_table([0.9, 0.8, 0.2, 0.2, -3, -4]))
    assert list(summary["part"]) == ["early", "middle", "late"]
    assert list(summary["forecasts"]) == [2, 2, 2]
    assert summary["pace"].tolist() == pytest.approx([1, 1, 1])
    assert summary["skill_fixed"].tolist() == pytest.approx([0.85, 0.2, -3.5])
    said = words(summary, reference="initial")
    assert "predicts where the policy goes" in said[0]
    assert "predicts a little" in said[1]
    assert "next to nothing" in said[2]
    assert said[3].startswith("λ = 1 is worse than no forecast: late at 10 steps.")
    assert said[4].endswith("as it came): 1.00 early, 1.00 middle, 1.00 late.")


def test_without_a_run_it_takes_the_one_diagnosed_last(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, age in (("old", 100), ("new", 10)):
        made = shutil.ignore_patterns("extrapolation")
        shutil.copytree(runs / "watched", tmp_path / "runs" / name, ignore=made)
        table = tmp_path / "runs" / name / "diagnostics.csv"
        os.utime(table, (time.time() - age,) * 2)
    monkeypatch.setattr(sys, "argv", ["extrapolation"])
    main()
    assert (tmp_path / "runs" / "new" / "extrapolation" / "summary.csv").exists()
    assert not (tmp_path / "runs" / "old" / "extrapolation" / "summary.csv").exists()
