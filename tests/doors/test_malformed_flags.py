"""Malformed values of flags get one line from every command, before anything is read or written."""

import signal

import pytest

from objectives import OBJECTIVES
from tests.doors.conftest import door
from train.config.flags import flag_name, flagged
from train.config.objective_flags import own_flags
from train.config.values import without_none

NO_NUMBERS = ("", "x", "1,5", "1e", "0x10", "--", "\ud800", "[1]")
NO_WHOLE = (*NO_NUMBERS, "9" * 5000, "1.5", "1e3", "nan", "inf", "9" * 30, "-" + "9" * 30)
OTHERS = ("train.worked_answers", "diagnostics.extrapolation")
SHORT = ("--objective=fpa", "--data=rows.jsonl", "--steps=1", "--batch-size=2", "--out=made")
COMMANDS = {
    "train": (("train.config.settings", "Config"), SHORT),
    "train.dataset_report": (("train.dataset_report", "Settings"), ("rows.jsonl",)),
    "train.memory": (("train.memory.settings", "Settings"), ()),
    "train.merge": (("train.merge", "Settings"), ()),
    "train.rollouts": (("train.rollouts.settings", "Settings"), ("--problems", "problems.jsonl")),
    "eval": (("eval.__main__", "Settings"), ("--problems", "problems.jsonl")),
    "diagnostics.entanglement": (("diagnostics.entanglement.__main__", "Settings"), ()),
}


def values_of(annotation):
    kind = without_none(annotation)
    if kind is int:
        return NO_WHOLE
    if kind is float:
        return NO_NUMBERS
    if kind is str:
        return ()
    return ("", "x", "1", "\ud800")  # truth, or a choice of words


def cases():
    for command, ((module, name), words) in COMMANDS.items():
        settings = getattr(__import__(module, fromlist=[name]), name)
        for entry in flagged(settings):
            for value in values_of(entry.type):
                yield command, words, flag_name(entry.name), value
    for objective in OBJECTIVES:
        for name, kind in own_flags(objective).items():
            for value in NO_WHOLE if kind is int else NO_NUMBERS:
                yield "train", (*SHORT, f"--objective={objective}"), flag_name(name), value
    for flag in ("--seeds", "--learning-rates"):
        for value in ("", ",", "x", "1,,2", "-1", "9" * 30 if flag == "--seeds" else "nan", "1;2"):
            yield "train", SHORT, flag, value
    for flag, value in (
        ("--horizons", "9" * 30 + ",x"), ("--diagnose", "x"), ("--schedule-options", "x"),
        ("--future-from", "lagged:x"), ("--recipe", ""), ("--recipe", "\ud800"), ("--online", "x"),
        ("--lora-targets", ""), ("--data", ""), ("--data", "\ud800"), ("--model", ""),
        ("--model", "\ud800"), ("--eval-problems", ""), ("--objective", ""), ("--resume", "x"),
        ("--seed", str(2**63)), ("--out", "/dev/null/x"), ("--out", "/proc/none/x"),
        ("--reference-cache", "/proc/none"),
    ):  # fmt: skip
        yield "train", SHORT, flag, value
    for words, flag, value in (
        (("--out", "x.jsonl", "--problems", "problems.jsonl"), "--limit", "9" * 5000),
        (("--out", "x.jsonl", "--problems", "problems.jsonl"), "--limit", "x"),
        (("--out", "x.jsonl"), "--problems", "\ud800"),
        (("--problems", "problems.jsonl"), "--out", "/dev/null/x.jsonl"),
    ):
        yield "train.worked_answers", words, flag, value
    for flag, value in (("--lam", "x"), ("--lam", "nan"), ("--run", "\ud800"), ("--run", "")):
        yield "diagnostics.extrapolation", (), flag, value
    for flag, value in (("--metric", "x"), ("--metric", "\ud800"), ("--baseline", "x"),
                        ("--filter", "x"), ("--out", "/dev/null/x")):  # fmt: skip
        yield "eval.compare", ("run", "--baseline=dpo"), flag, value


def kept(folder):
    """Return what is there of it, but for what commands make, and the files by which they lock."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if "made" not in str(path) and path.suffix != ".lock"
    ]


@pytest.mark.parametrize(
    "command", [*COMMANDS, "train.worked_answers", "diagnostics.extrapolation", "eval.compare"]
)
def test_flags(call, valid, tmp_path, monkeypatch, bounded, command):
    """All of a command in one test: they are many and take no time each."""
    monkeypatch.chdir(valid)
    before = kept(valid)
    wrong, count = [], 0
    for own, words, flag, value in cases():
        if own != command:
            continue
        count += 1
        signal.alarm(5)
        try:
            status, _, err = call(door(command), [*words, f"{flag}={value}"])
        except Exception as error:
            wrong.append((flag, value[:20], repr(error)))
            continue
        lines = err.strip().splitlines()
        if status != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
            wrong.append((flag, value[:20], status, err[:200]))
    assert count > 3
    assert not wrong
    assert kept(valid) == before
