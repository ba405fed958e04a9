"""A run that was stopped or killed goes on from its checkpoint and ends in the same bits."""

import json
import os
import random
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from objectives.errors import Stopped
from objectives.output_lock import InUse
from tests.helpers.started_runs import session
from train import train
from train.__main__ import main
from train.config.settings import Config
from train.store.folder import GROWING, RunFolder, read_metrics

QUICK = Config(
    steps=6, batch_size=8, eval_limit=4, eval_samples=1, eval_every=2, learning_rate=1e-3,
    warmup_steps=3, schedule="cosine",
)  # fmt: skip
DIAGNOSED = {
    "diagnose_every": 1, "diagnose": "tokens,extrapolation", "horizons": "2", "diagnose_pairs": 2,
}  # fmt: skip
ONLINE = {"online": True, "online_samples": 4, "batch_size": 16}
KINDS = {
    "omd": ("omd", {"period": 2}, {}),
    "kto, diagnosed": ("kto", {}, DIAGNOSED),
    "fpa_dpo, lam auto": ("fpa_dpo", {"lam": "auto", "lam_horizon": 2, "future_from": "lagged:2"},
                          {}),
    "grpo online, two updates": ("grpo", {}, {**ONLINE, "online_updates": 2}),
    "omd with adapters": ("omd", {"period": 2}, {"lora_rank": 2}),
    "fpa, lagged, with adapters": ("fpa", {"future_from": "lagged:2"},
                                   {"lora_rank": 2, "gradient_checkpointing": True, **DIAGNOSED}),
    "grpo online with an adapter": ("grpo", {}, {**ONLINE, "lora_rank": 2}),
}  # fmt: skip
KILLS = 4  # of each kind


@pytest.fixture(scope="module")
def setups(setup_of):
    return {False: setup_of(QUICK), True: setup_of(replace(QUICK, **ONLINE))}


def make(setups, kind, folder, **changes):
    name, given, settings = KINDS[kind]
    config = replace(QUICK, **settings, **changes)
    return session(setups[config.online].with_config(config), name, folder, **given)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what must be the same, bit for bit: what grows, the last model and its optimizer."""
    last = folder / "checkpoints" / "step-6"
    paths = [folder / name for name in GROWING if (folder / name).exists()]
    paths += [*last.glob("*model.safetensors"), last / "trainer_state.safetensors"]
    return {path.name: path.read_bytes() for path in paths}


def stop_after(planned, step, number):
    make = planned.run

    def stopping():
        run = make()
        after = run._after

        def stopped(at, stop):
            if at == step:
                os.kill(os.getpid(), number)
            after(at, stop)

        run._after = stopped
        return run

    planned.run = stopping


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_resumed_is_the_same_run(kind, setups, tmp_path):
    step = 3  # between two updates on the same samples, evaluations, outer steps
    make(setups, kind, tmp_path / "whole").train({})
    stopped = make(setups, kind, tmp_path / "stopped")
    stop_after(stopped, step, signal.SIGTERM)
    with pytest.raises(Stopped, match=rf"stopped by SIGTERM after step {step} .* --resume") as end:
        stopped.train({})
    assert end.value.status == 143
    handler = signal.getsignal(signal.SIGTERM)
    assert handler == signal.SIG_DFL
    torch.rand(7)  # as whatever else a process does
    result = make(setups, kind, tmp_path / "stopped").train({}, resume=True)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    steps = [line["step"] for line in read_metrics(tmp_path / "stopped") if "loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6] == [line["step"] for line in result.history]
    costs = [json.loads((tmp_path / n / "result.json").read_text()) for n in ("whole", "stopped")]
    for name in ("tokens_trained", "tokens_frozen", "tokens_generated", "flops", "steps"):
        assert costs[0][name] == costs[1][name]
    assert [at for at, _ in result.evaluations] == [0, 2, 4, 6]


@pytest.mark.cpu
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments_it_ends_in_the_same_bits(kind, setups, tmp_path):
    every = {"checkpoint_every": 1, "keep_checkpoints": 2}
    started = time.monotonic()
    make(setups, kind, tmp_path / "whole", **every).train({})
    length = time.monotonic() - started
    generator, kills, folder = random.Random(0), 0, tmp_path / "killed"
    compared = 0
    while kills < KILLS:
        # Forked, so that nothing has to be loaded again.
        child = os.fork()
        if not child:
            try:
                found = bool(list(folder.glob("checkpoints/step-*")))
                if not found:
                    shutil.rmtree(folder, ignore_errors=True)
                make(setups, kind, folder, **every).train({}, resume=found)
            finally:
                os._exit(0)
        time.sleep(generator.uniform(0.02, 0.6) * length)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        if (folder / "result.json").exists():
            assert contents(folder) == contents(tmp_path / "whole")
            compared += 1
            shutil.rmtree(folder)
    if folder.exists():
        found = bool(list(folder.glob("checkpoints/step-*")))
        if not found:
            shutil.rmtree(folder)
        make(setups, kind, folder, **every).train({}, resume=found)
        assert contents(folder) == contents(tmp_path / "whole")
        compared += 1
    assert compared
    kept = {p.name for p in (tmp_path / "whole" / "checkpoints").iterdir()}
    assert kept == {"step-5", "step-6"}


def test_a_second_run_in_a_folder_is_refused(setups, tmp_path):
    folder = RunFolder(tmp_path / "run")
    setup = setups[False]
    with folder.locked(), pytest.raises(InUse, match="another command is writing there"):
        train("omd", replace(setup.config, out=str(tmp_path / "run")), setup=setup)
    train("omd", replace(setup.config, out=str(tmp_path / "run")), setup=setup)


def test_off_the_main_thread_signals_are_left_alone(setups, tmp_path):
    thread = threading.Thread(target=lambda: make(setups, "omd", tmp_path / "run").train({}))
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "result.json").exists()


COMMAND = "--objective dpo --batch-size 8 --eval-problems none --checkpoint-every 1 --out run"


@pytest.fixture
def stopped(call, tmp_path, monkeypatch):
    """Return `call`, after a run of three steps lost its end."""
    assert call(main, f"{COMMAND} --steps 3")[0] == 0
    (tmp_path / "run" / "result.json").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-3")
    return lambda words: call(main, f"{COMMAND} {words}")


def test_the_command_goes_on(stopped, tmp_path):
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    status, _, err = stopped("--steps 3")
    assert status == 2
    assert "run already holds a run: go on with --resume, name another with --out" in err
    assert stopped("--steps 3 --resume")[0] == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    status, out, _ = stopped("--steps 3 --resume")
    assert status == 0
    assert "1 of 1 runs are done already" in out


def test_resume_auto_starts_what_is_not_there(stopped, tmp_path):
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert stopped("--steps 3 --resume auto")[0] == 0
    assert (tmp_path / "run.unfinished-1" / "metrics.jsonl").exists()
    shutil.rmtree(tmp_path / "run")
    assert stopped("--steps 3 --resume auto")[0] == 0
    assert (tmp_path / "run" / "result.json").exists()


def cut_short(path):
    path.write_bytes(path.read_bytes()[:100])


SPOILT = [
    (lambda run: shutil.rmtree(run), "--resume: there is no run in run to go on with"),
    (lambda run: shutil.rmtree(run / "checkpoints"), "has no checkpoint to go on from"),
    (lambda run: cut_short(run / "checkpoints/step-2/trainer_state.safetensors"),
     "cannot go on from this checkpoint, its state is not whole"),
    (lambda run: cut_short(run / "checkpoints/step-2/trainer_state.json"),
     "cannot go on from this checkpoint, its state is not whole"),
    (lambda run: cut_short(run / "checkpoints/step-2/model.safetensors"), "step-2"),
    (lambda run: cut_short(run / "metrics.jsonl"), "is shorter than when the checkpoint was"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_what_cannot_go_on_gets_one_line(stopped, tmp_path, spoil, message):
    spoil(tmp_path / "run")
    status, _, err = stopped("--steps 3 --resume")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_other_settings_are_refused(stopped):
    status, _, err = stopped("--steps 3 --resume --beta 0.5")
    assert status == 2
    assert "run holds a run with --beta 0.1, not 0.5" in err
