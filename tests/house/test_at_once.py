"""What a command answers without computing, it answers before anything heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from objectives.command import COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGES = ("objectives", "diagnostics", "eval", "train")
HEAVY = {"torch", "transformers", "pandas", "datasets", "seaborn", "matplotlib", "scipy", "sympy",
         "pyarrow", "accelerate", "peft"}  # fmt: skip
NO_COMMAND = "eval.grading_worker"  # is talked to by a program
DOORS = sorted(
    {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    - {NO_COMMAND}
)
ANSWERS = {
    "train --list": (0, "qwen2.5-math-7b"),
    "train --objective fpa,guarded_dpo --help": (0, "--guard NUMBER"),
    "train --objective fpoo": (2, "did you mean"),
    "train --objective nonsense": (2, "error: --objective nonsense: no objective has this name; "),
    "train --objective fpa --lambda 2": (2, "--lambda is not a flag of fpa"),
    "train --objective fpa --lam x": (2, "--lam x: expected a number"),
    "train --objective fpa --lr 1": (2, "here it is --learning-rate"),
    "train --objective fpa --steps -1": (2, "--steps -1: must be 0 or more"),
    "train": (2, "name an objective"),
    "objectives": (0, "guarded_NAME"),
    "objectives fpa dpo": (0, "dpo: a loss per pair"),
    "objectives fpoo": (2, "did you mean"),
    "diagnostics.entanglement --run runs/none --pair 3": (2, "did you mean --pairs"),
    "eval": (2, "name either --benchmarks"),
    "train.merge": (2, "name the folder of an adapter"),
    "train.rollouts": (2, "name a file of problems"),
    "train.zoo": (0, "worked-answers"),
    "train.zoo tain": (2, "did you mean train"),
    "train.zoo eval --model": (2, "--model"),
}


def _answered(words):
    """Return a command's status, what it printed, and the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *words], cwd=ROOT, capture_output=True, text=True
    )
    lines = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in lines if "|" in line}
    said = [line for line in lines if not line.startswith("import time:")]
    assert "argparse" in imported
    return done.returncode, "\n".join([done.stdout, *said]), imported


def test_every_command_is_a_door_here():
    assert {module for module, _ in COMMANDS.values()} < {*DOORS}


@pytest.mark.parametrize("door", DOORS)
def test_what_a_command_can_do_is_told_at_once(door):
    for word, status in (("--help", 0), ("--version", 0), ("--no-such-flag", 2)):
        found, _, imported = _answered([door, word])
        assert (found, imported & HEAVY) == (status, set()), word


@pytest.mark.parametrize("words", ANSWERS)
def test_a_mistake_is_told_at_once(words):
    status, text = ANSWERS[words]
    found, said, imported = _answered(words.split())
    assert (found, imported & HEAVY) == (status, set())
    assert text in said
    assert status == 0 or len(said.strip().splitlines()) == 1
