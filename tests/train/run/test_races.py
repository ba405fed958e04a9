"""Two commands in one place, twenty times each: one makes the run, and nothing is lost or moved."""

import random
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from objectives import output_lock
from tests.helpers.forked import Forked
from train.config.settings import Config
from train.config.spec import objective_spec
from train.run import series
from train.run.session import Session
from train.run.sweep import PlannedRun, plan_runs, taken_up

pytestmark = pytest.mark.cpu

TIMES = 20
QUICK = Config(steps=2, batch_size=8, eval_problems="none", reference_cache="off")
SPEC = objective_spec("sft", {})
SEEDS = [0, 1]


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


@pytest.fixture
def no_pictures(monkeypatch):
    """They take longer than the runs."""
    monkeypatch.setattr(Session, "_present", lambda *_: None)


def make(setup, folder, resume):
    with taken_up(PlannedRun(SPEC, setup.config, folder), resume, sweep=False) as found:
        if not found.done:
            Session(setup, SPEC, folder).train({}, found.resume)


def sweep(setup, folder):
    runs = plan_runs(replace(setup.config, out=str(folder)), [SPEC], SEEDS)
    if missing := [run for run in runs if not run.done]:
        series.make_runs(missing, "two commands", None, shared=True)


def contents(folder: Path) -> dict[str, bytes]:
    names = ("metrics.jsonl", "checkpoints/step-2/model.safetensors",
             "checkpoints/step-2/trainer_state.safetensors")  # fmt: skip
    return {name: (folder / name).read_bytes() for name in names}


def lengths(generator: random.Random, start) -> list[float]:
    """Return delays of a second command, from none to a little longer than the first takes."""
    begun = time.monotonic()
    start()
    length = time.monotonic() - begun
    return [generator.uniform(0, 1.3 * length) for _ in range(TIMES)]


def test_resume_auto_beside_a_run_without_a_checkpoint(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(output_lock, "LOOKING", 0.05)  # or the second waits for such a short run
    whole, folder = tmp_path / "whole", tmp_path / "runs" / "run"
    statuses = set()
    for delay in lengths(random.Random(0), partial(make, setup, whole, None)):
        first = Forked(partial(make, setup, folder, None), tmp_path)
        time.sleep(delay)
        second = Forked(partial(make, setup, folder, "auto"), tmp_path)
        ends = [command.wait()[0] for command in (first, second)]
        said = first.said() + second.said()
        assert ends in ([0, 0], [0, 2], [2, 0]), said
        if 2 in ends:
            assert said.count("error: ") == 1
            assert "another command is writing there" in said or "already holds a run" in said
        assert contents(folder) == contents(whole)
        assert (folder / "result.json").exists()
        assert {path.name for path in folder.parent.iterdir()} == {"run", ".run.lock"}
        statuses.add(tuple(ends))
        shutil.rmtree(folder)
    assert {(0, 2), (2, 0)} & statuses  # they did meet


def test_the_same_sweep_started_twice(setup, tmp_path, monkeypatch, no_pictures):
    monkeypatch.setattr(series, "set_up", lambda config: setup)  # which both have loaded
    whole, folder = tmp_path / "whole", tmp_path / "sweep"
    met = 0
    for delay in lengths(random.Random(1), partial(sweep, setup, whole)):
        commands = [Forked(partial(sweep, setup, folder), tmp_path)]
        time.sleep(delay / 2)
        commands.append(Forked(partial(sweep, setup, folder), tmp_path))
        assert [command.wait()[0] for command in commands] == [0, 0], commands[1].said()
        rates = folder / "sft" / "lr-1e-05"
        names = {f"seed-{seed}" for seed in SEEDS}
        assert {path.name for path in rates.iterdir()} == names | {f".{n}.lock" for n in names}
        for name in names:
            assert (rates / name / "result.json").exists()
            assert contents(rates / name) == contents(whole / "sft" / "lr-1e-05" / name)
        said = "".join(command.said() for command in commands)
        assert said.count("sft: no hyper-parameters") == len(SEEDS)  # each was made once
        met += "another command is at it" in said or "done meanwhile" in said
        shutil.rmtree(folder)
    assert met
