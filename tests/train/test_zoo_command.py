"""`zoo`: all commands under one name, beside a `train.py` and an `eval/` of the user's own."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from objectives.command import COMMANDS, version_text
from train.zoo import main

# In tests some commands are imported already; where pip puts it, none is.
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")

ROOT = Path(__file__).parents[2]
# What pip writes as the command: its own folder is the one that Python looks in first.
SCRIPT = "import sys\nfrom train.zoo import main\nsys.exit(main())\n"


@pytest.fixture
def zoo(tmp_path):
    """Return a function that runs the command in a folder that holds names like ours."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "zoo"
    script.write_text(SCRIPT)
    work = tmp_path / "work"
    (work / "eval").mkdir(parents=True)
    for file in ("train.py", "objectives.py", "eval/__init__.py", "eval/grading_worker.py"):
        (work / file).write_text("raise SystemExit('a script of the user was run')\n")

    def run(*words):
        return subprocess.run(
            [sys.executable, str(script), *words], cwd=work, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip

    return run


def test_it_trains_and_grades_beside_names_like_ours(zoo, tmp_path):
    done = zoo(
        "train", "--objective", "sft", "--steps", "1", "--batch-size", "4", "--eval-limit", "2",
        "--eval-samples", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work/runs/sft/result.json").exists()
    (tmp_path / "work/mine.jsonl").write_text('{"question": "1+1=?", "answer": "2"}\n')
    done = zoo("eval", "--problems", "mine.jsonl", "--max-new-tokens", "4")
    assert done.returncode == 0, done.stderr


def test_commands_are_called_by_its_name(zoo):
    done = zoo("memory", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: zoo memory ")


def test_it_shows_its_commands(call):
    for words in ("", "--help"):
        status, out, _ = call(main, words)
        assert status == 0
        for name, (module, what) in COMMANDS.items():
            assert f"  {name} " in out
            assert what in out
            package = hasattr(import_module(module), "__path__")
            assert import_module(f"{module}.__main__" if package else module).main
    assert call(main, "--version")[:2] == (0, version_text() + "\n")
    assert call(main, "list dpo")[1].startswith("dpo: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "error: zoo trian: not one of train, eval, "),
        ("trian", "; did you mean train?"),
        ("--bogus", "error: unrecognized arguments: --bogus"),
        (
            "train --objective nonsense",
            "error: --objective nonsense: no objective has this name; zoo train --list shows all",
        ),
        ("memory --devices 0", "error: --devices 0: must be above 0"),
    ],
)
def test_mistakes_get_one_line(call, words, message):
    status, out, err = call(main, words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
