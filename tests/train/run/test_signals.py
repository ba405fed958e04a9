"""Ctrl-C and SIGTERM in whatever a run is at: what is saved is whole, and ends in the same bits."""

import json
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from eval.problems import problem_set
from tests.helpers.forked import Forked
from tests.helpers.run_folders import step_lines
from train import train
from train.__main__ import main
from train.config.settings import Config
from train.models import reference_states
from train.probes import observer
from train.run import plots
from train.store.checkpoints import find_checkpoints
from train.store.folder import GROWING, read_metrics

pytestmark = pytest.mark.cpu

LIMIT = 20  # seconds, on a busy machine, for what takes one; what is interrupted takes 100 more
STEPS = 4
QUICK = Config(
    steps=STEPS, batch_size=16, eval_limit=4, eval_samples=1, eval_every=2, learning_rate=1e-3,
    diagnose_every=1, diagnose="tokens,entanglement,extrapolation", horizons="2",
    diagnose_pairs=2, reference_cache="off",
)  # fmt: skip
ONLINE = replace(QUICK, online=True, online_samples=4)


@pytest.fixture(scope="module")
def setups(setup_of):
    return {config.online: setup_of(config) for config in (QUICK, ONLINE)}


@pytest.fixture(scope="module")
def whole(setups, tmp_path_factory):
    """Return what the files of a run hold that nothing interrupted, by whether it is online."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for online in setups:
        run(setups, online, folder / str(online))()
        found[online] = contents(folder / str(online))
    return found


def run(setups, online, folder, resume=None, **changes):
    config = replace(ONLINE if online else QUICK, out=str(folder), **changes)
    return partial(train, "grpo", config, setup=setups[online], resume=resume)


def contents(folder: Path) -> dict[str, bytes]:
    last = folder / "checkpoints" / f"step-{STEPS}"
    paths = [*(folder / name for name in GROWING), last / "model.safetensors"]
    paths.append(last / "trainer_state.safetensors")
    return {path.name: path.read_bytes() for path in paths}


def delay(monkeypatch, module, name, holds):
    """Let a function wait for long where something holds when it is called; say so."""
    own = getattr(module, name)

    def delayed(*arguments, **options):
        if holds():
            print("it waits", flush=True)
            time.sleep(100)
        return own(*arguments, **options)

    monkeypatch.setattr(module, name, delayed)


def steps_taken(folder: Path) -> int:
    file = folder / "metrics.jsonl"
    return max((line["step"] for line in read_metrics(folder)), default=0) if file.exists() else 0


def stopped(monkeypatch, start, folder, place, at, number):
    """Stop a run at a place, once `at` steps are taken; return what it said."""
    with monkeypatch.context() as patch:
        delay(patch, *place, lambda: steps_taken(folder) == at)
        command = Forked(start, folder.parent)
        command.wait_for("it waits")
        status, seconds = command.stopped_by(number)
    assert status == 128 + number, command.said()
    assert seconds < LIMIT
    assert "Traceback" not in command.said()
    return command.said()


PLACES = {  # what is delayed, after how many steps, and the step of the checkpoint that follows
    "sampling": (True, (problem_set, "generate"), 3, 3),
    "evaluation": (False, (problem_set, "generate"), 2, 2),
    "grading": (True, (problem_set.ProblemSet, "_completed"), 2, 2),
    "the last evaluation": (False, (problem_set, "generate"), STEPS, STEPS),
    "diagnostics": (False, (observer, "pair_grams"), 3, 3),
    "the last diagnostics, before an evaluation": (False, (observer, "pair_grams"), STEPS, STEPS),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", PLACES)
def test_it_leaves_what_takes_long_and_goes_on_in_the_same_bits(
    place, number, setups, whole, tmp_path, monkeypatch
):
    online, where, at, step = PLACES[place]
    folder = tmp_path / "run"
    said = stopped(monkeypatch, run(setups, online, folder), folder, where, at, number)
    assert f"error: stopped by {number.name} after step {step} of grpo: its checkpoint is" in said
    assert max(find_checkpoints(folder)) == step
    run(setups, online, folder, resume="always")()
    assert contents(folder) == whole[online]


def test_stopped_again_and_again_at_the_same_place(setups, whole, tmp_path, monkeypatch):
    folder, where = tmp_path / "run", (problem_set, "generate")
    start = run(setups, False, folder, resume="auto")
    stopped(monkeypatch, start, folder, where, 2, signal.SIGTERM)
    for _ in range(2):  # the evaluation is made up for first, and left again
        said = stopped(monkeypatch, start, folder, where, 2, signal.SIGTERM)
        assert "interrupted by SIGTERM" in said
    start()
    assert contents(folder) == whole[False]


@pytest.mark.parametrize("online", [False, True])
def test_before_the_first_step_nothing_is_lost(online, setups, whole, tmp_path, monkeypatch):
    folder, where = tmp_path / "run", (problem_set, "generate")
    setup = setups[online]
    fresh = {online: replace(setup, evaluator=setup.evaluator and type(setup.evaluator)(
        setup.evaluator.problems, setup.evaluator.tokenizer, setup.config))}  # fmt: skip
    start = run(fresh, online, folder, resume="auto")
    said = stopped(monkeypatch, start, folder, where, 0, signal.SIGINT)
    assert "error: interrupted by SIGINT; what was written before stays as it is" in said
    start()
    assert contents(folder) == whole[online]
    assert (tmp_path / "run.unfinished-1" / "config.json").exists()


def test_a_finished_run_gets_its_pictures_and_its_card(setups, whole, tmp_path, monkeypatch):
    own = plots.plot_run

    def slowly(*arguments):
        print("it draws", flush=True)
        time.sleep(4)  # longer than a command is waited for that is at nothing of the kind
        return own(*arguments)

    monkeypatch.setattr(plots, "plot_run", slowly)
    folder = tmp_path / "run"
    command = Forked(run(setups, False, folder), tmp_path)
    command.wait_for("it draws")
    assert command.stopped_by(signal.SIGTERM)[0] == 143
    assert (folder / "result.json").exists()
    assert (folder / "README.md").exists()
    assert list((folder / "plots").glob("*.png"))
    assert contents(folder) == whole[False]


def test_the_cache_is_left_and_gone_on_with(setups, tmp_path, monkeypatch):
    folder, cache = tmp_path / "run", tmp_path / "cache"
    start = partial(
        train, "fpa", replace(QUICK, out=str(folder), reference_cache=str(cache)),
        setup=setups[False], resume="auto",
    )  # fmt: skip
    with monkeypatch.context() as patch:
        delay(patch, reference_states, "flush", lambda: _progress(cache) == 3)
        filling = Forked(start, tmp_path / "one")
        filling.wait_for("it waits")
        other = replace(QUICK, out=str(tmp_path / "other"), reference_cache=str(cache))
        waiting = Forked(partial(train, "fpa", other, setup=setups[False]), tmp_path / "two")
        waiting.wait_for("another command fills")
        for command in (waiting, filling):
            status, seconds = command.stopped_by(signal.SIGTERM)
            assert status == 143
            assert seconds < LIMIT
    assert _progress(cache) == 3
    start()
    assert list(cache.glob("*.states"))


def _progress(cache: Path) -> int:
    return max((int(file.read_text() or 0) for file in cache.glob("*.progress")), default=0)


def test_a_sweep_is_gone_on_with_by_the_same_command(tmp_path):
    words = (
        "--objective sft --seeds 0,1,2 --steps 40 --batch-size 8 --eval-problems none --out sweep"
    )
    second = tmp_path / "sweep/sft/lr-1e-05/seed-1"
    command = Forked(main, tmp_path, words)
    command.wait_until(lambda: steps_taken(second) > 2)
    status, seconds = command.stopped_by(signal.SIGINT)
    assert status == 130
    assert seconds < LIMIT
    assert not second.with_name("seed-2").exists()
    step = max(find_checkpoints(second))
    again = Forked(main, tmp_path, words)
    assert again.wait()[0] == 0, again.said()
    lines = step_lines(second)
    assert [line["step"] for line in lines] == list(range(1, 41))
    assert step < 40
    assert "1 of 3 runs are done already" in again.said()
    assert len(list((tmp_path / "sweep/sft/lr-1e-05").iterdir())) == 6  # three, and their locks
    assert json.loads((second / "result.json").read_text())["steps"] == 40
