"""Fixtures: what commands read when all is well, and a command that has to refuse its input."""

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from objectives.errors import command_line
from train.models.load import BUILTIN_MODEL
from train.sampling.rollout_parts import Parts

ROWS = [
    {"prompt": f"{n}+2=", "completion": f"#{n + wrong + 2}", "reward": 1.0 - 2 * wrong}
    for n in (1, 2, 3) for wrong in (0, 1)
]  # fmt: skip
PROBLEMS = [
    {"question": f"{n}+2=", "answer": str(n + 2), "formula": f"{n}+2={n + 2}"} for n in (1, 2, 3)
]
TRAIN = "--data rows.jsonl --batch-size 2 --checkpoint-every 1 --seed 0"
MADE = {
    "run": f"train --objective dpo --lora-rank 1 --steps 2 --eval-problems problems.jsonl "
    f"--eval-samples 0 --eval-max-new-tokens 3 --diagnose-every 1 --diagnose extrapolation "
    f"--diagnose-pairs 2 --out run {TRAIN}",
    "cached": f"train --objective fpa --steps 1 --eval-problems none --reference-cache cache "
    f"--out cached {TRAIN}",
    "unfinished": f"train --objective dpo --lora-rank 1 --steps 2 --eval-problems none "
    f"--out unfinished {TRAIN}",
    "evaluated": "eval --problems problems.jsonl --max-new-tokens 3 --out evaluated",
    "parts": "train.rollouts --model builtin --problems problems.jsonl --samples 1 "
    "--batch-size 1 --max-new-tokens 3 --out made.parquet",
}
Spoilt = bytes | Callable[[bytes], bytes]
SECONDS = 30  # that a refusal may take, on a busy machine
MEMORY = 6 << 30  # bytes beyond what is there


def door(name: str) -> Callable[[], None]:
    """Return the `main` of a command."""
    module = import_module(name)
    return import_module(f"{name}.__main__").main if hasattr(module, "__path__") else module.main


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def valid(tmp_path_factory) -> Path:
    """Return a folder with good rows, problems, a model, an adapter, a run, and what else is read.

    The trainings and the evaluation that make it are commands themselves.
    """
    folder, before, words = tmp_path_factory.mktemp("valid"), Path.cwd(), sys.argv
    shutil.copytree(BUILTIN_MODEL, folder / "model")
    for name, rows in (("rows", ROWS), ("problems", PROBLEMS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.chdir(folder)
    try:
        for command in MADE.values():
            sys.argv = command.split()
            with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
                patch.setattr(Parts, "join", interrupted)
                command_line(door(sys.argv[0]))
    finally:
        sys.argv = words
        os.chdir(before)
    assert {source.name for source in folder.iterdir()} >= {*MADE, "made.parquet.parts"} - {"parts"}
    # As if both had been stopped after their first part.
    shutil.rmtree(folder / "unfinished/checkpoints/step-2")
    (folder / "unfinished/result.json").unlink()
    return folder


@pytest.fixture
def bounded():
    """Let a test take some seconds and some memory, not more."""

    def late(*_):
        raise TimeoutError(f"no answer in {SECONDS} seconds")

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, before[1]))
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def answer(call, valid, tmp_path, bounded) -> Callable:
    """Return a function that runs a command on good inputs, some of them spoilt: (status, err).

    words: of the command, its name the first. spoilt: files by name, with the bytes to put there,
    or a function that makes them of the good ones.
    """

    def run(words: str | list[str], spoilt: dict[str, Spoilt]) -> tuple[int, str]:
        name, *rest = words.split() if isinstance(words, str) else words
        needed = {word.split("/")[0] for word in (*rest, *spoilt)}
        for source in valid.iterdir():
            if source.name in needed | {"rows.jsonl", "problems.jsonl"}:
                _copy(source, tmp_path / source.name)
        for path, content in spoilt.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content = content((valid / path).read_bytes())
            (tmp_path / path).write_bytes(content)
        status, _, err = call(door(name), rest)
        return status, err

    return run


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


@pytest.fixture
def refused(answer) -> Callable:
    """Return a function that runs a command as `answer`; it has to refuse, in one line."""

    def run(words: str | list[str], spoilt: dict[str, Spoilt]) -> str:
        status, err = answer(words, spoilt)
        lines = [line for line in err.strip().splitlines() if not line.startswith("left out: ")]
        assert status == 2, err
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        return lines[0]

    return run
