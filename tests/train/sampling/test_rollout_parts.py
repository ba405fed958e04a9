"""What rollouts say of their making, and what a command that failed leaves behind."""

import hashlib
import json
import os
import shutil
import signal
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

from train.models.identity import model_digest
from train.models.load import BUILTIN_MODEL
from train.rollouts import __main__ as rollouts
from train.rollouts import sampled

PROBLEMS = [{"question": f"{n}+2=", "answer": str(n + 2)} for n in range(1, 6)]
SAMPLE = "--model builtin --samples 2 --batch-size 4 --max-new-tokens 6 --temperature 1"


@pytest.fixture
def interrupted(monkeypatch):
    """Have the second part interrupted; return the list of what was sampled."""
    sample, calls = sampled.sample_part, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return sample(*arguments)

    monkeypatch.setattr(sampled, "sample_part", interrupted)
    return calls


def fails(*_):
    raise MemoryError


def is_killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


BROKEN = {  # words of the command that fails, in the place of others, and what befalls it
    "no model": ("--model nowhere", None),
    "no problems": ("--problems nowhere.jsonl", None),
    "no prompt fits": ("--max-new-tokens 127", None),
    "no such column": ("--answer-column gold", None),
    "no nucleus": ("--top-p 1.5", None),
    "out of memory": ("--batch-size 64", fails),
    "killed": ("--samples 4", is_killed),
    "of another temperature": ("--temperature 2", is_killed),
}


@pytest.mark.cpu
@pytest.mark.parametrize(("wrong", "happens"), BROKEN.values(), ids=BROKEN)
def test_a_command_that_failed_does_not_block_the_corrected_one(
    call, write_rows, tmp_path, wrong, happens
):
    problems = write_rows(PROBLEMS)
    command = f"{SAMPLE} --problems {problems} --out all.parquet"
    child = os.fork()
    if not child:
        if happens:
            sampled.sample_part = happens
        with suppress(BaseException):
            call(rollouts.main, f"{command} {wrong}")
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]) == (happens is is_killed)
    assert not (tmp_path / "all.parquet").exists()
    status, out, err = call(rollouts.main, command)
    assert status == 0, err
    assert "10 completions of 5 problems" in out


def test_the_table_says_how_it_came(call, write_rows, tmp_path):
    problems = write_rows(PROBLEMS)
    command = f"{SAMPLE} --problems {problems} --out all.parquet"
    assert call(rollouts.main, command)[0] == 0
    settings = pd.read_parquet(tmp_path / "all.parquet").attrs["settings"]
    assert settings["temperature"] == 1
    assert settings["samples"] == 2
    content = Path(problems).read_bytes()
    assert settings["problems_sha256"] == hashlib.sha256(content).hexdigest()
    assert settings["digests"] == {"base": model_digest("builtin")}
    (made,) = settings["made_with"]
    assert made["command"] == f"python -m train.rollouts {command}"
    assert made["versions"]["math-verify"] == version("math-verify")


def test_parts_go_on_with_the_model_that_they_are_of(call, write_rows, tmp_path, interrupted):
    shutil.copytree(BUILTIN_MODEL, tmp_path / "model")
    words = SAMPLE.replace("builtin", "model")
    command = f"{words} --problems {write_rows(PROBLEMS)} --out all.parquet"
    assert call(rollouts.main, command)[0] == 130
    file, record = tmp_path / "model/config.json", tmp_path / "all.parquet.parts/settings.json"
    before = file.read_bytes()
    file.write_bytes(before.replace(b'"rms_norm_eps": ', b'"rms_norm_eps": 1'))
    status, _, err = call(rollouts.main, command)
    assert status == 2
    assert "settings.json: the base (--model model) changed since sampling began" in err
    file.write_bytes(before)
    kept = json.loads(record.read_text())
    kept["made_with"][0]["versions"]["sympy"] = "1.0"
    record.write_text(json.dumps(kept))
    status, out, _ = call(rollouts.main, command)
    assert status == 0
    assert "settings.json: begun with sympy 1.0, now " in out
    made = pd.read_parquet(tmp_path / "all.parquet").attrs["settings"]["made_with"]
    assert [own["versions"]["sympy"] for own in made] == ["1.0", version("sympy")]


def test_parts_of_an_earlier_version_go_on(call, write_rows, tmp_path, interrupted):
    command = f"{SAMPLE} --problems {write_rows(PROBLEMS)} --out all.parquet"
    assert call(rollouts.main, command)[0] == 130
    record = tmp_path / "all.parquet.parts/settings.json"
    kept = json.loads(record.read_text())
    del kept["digests"], kept["made_with"]
    record.write_text(json.dumps(kept))
    status, out, err = call(rollouts.main, command)
    assert status == 0, err
    assert "without digests of the base, as of an earlier version" in out
    assert len(interrupted) == 4  # the first part was there
