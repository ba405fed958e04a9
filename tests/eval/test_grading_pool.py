"""Workers that end for reasons of their own, and commands that end while they grade."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from eval import grading_pool
from eval.grading import grade, votes
from objectives.errors import InputError
from objectives.signals import postponed
from tests.helpers.forked import Forked

LIMIT = 20  # seconds, on a busy machine, for what takes one; what is interrupted takes 100 or more

# Grades as it is, but for the completions that begin with what they do.
ODD = """
import os, pathlib, signal, time
import eval.grading_worker as own
grade_one, marks = own.grade_one, pathlib.Path({folder!r})
def odd(completion, *rest, **others):
    kind, _, text = completion.partition(": ")
    if not text:
        return grade_one(completion, *rest, **others)
    (marks / f"{{os.getpid()}}.pid").touch()
    mark = marks / "".join(filter(str.isalnum, text))
    if kind == "sleeps":
        time.sleep(100)
    if kind == "dies" or kind == "dies once" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return grade_one(text, *rest, **others)
own.grade_one = odd
own.main(60)
"""


@pytest.fixture
def odd(monkeypatch, tmp_path):
    """Return the folder in which workers that are odd leave their marks."""
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setattr(grading_pool, "WORKER", ("-P", "-c", ODD.format(folder=str(folder))))
    return folder


def alive(folder: Path) -> list[int]:
    """Return the workers that have graded something and still are there."""
    found = [int(path.stem) for path in folder.glob("*.pid")]
    return [pid for pid in found if _state(pid) not in ("gone", "Z")]  # Z: ended, and not yet gone


def _state(pid: int) -> str:
    file = Path(f"/proc/{pid}/stat")
    return file.read_text().rpartition(")")[2].split()[0] if file.exists() else "gone"


def test_what_ended_its_worker_by_chance_is_graded_again(odd, capfd):
    texts = ["dies once: \\boxed{3}", "as it is: \\boxed{4}", "dies once: \\boxed{5}"]
    grades = grade(texts, ["3", "4", "5"], workers=1)
    assert [verdict.status for verdict in grades] == ["ok"] * 3
    assert all(verdict.correct for verdict in grades)
    assert capfd.readouterr().err == ""


def test_what_always_ends_its_worker_is_counted_and_said(odd, capfd):
    texts = ["dies: \\boxed{3}", "as it is: \\boxed{4}"]
    grades = grade(texts, ["3", "4"], workers=1)
    assert [verdict.status for verdict in grades] == ["died", "ok"]
    assert [verdict.correct for verdict in grades] == [False, True]
    assert len(list(odd.glob("*.pid"))) == 4  # three for the first, one that goes on
    assert capfd.readouterr().err == (
        "1 of 2 completions count as incorrect: what graded them ended, 3 times each\n"
    )


def test_votes_whose_worker_ends_are_compared_as_they_are_spelt(monkeypatch):
    deadly = (
        "import eval.grading_worker as own, os; own.grouped = lambda **_: os.abort()\nown.main(9)"
    )
    monkeypatch.setattr(grading_pool, "WORKER", ("-P", "-c", deadly))
    assert votes([["1/2", "0.5", "1/2", None]]) == [["1/2", "0.5", "1/2", None]]


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "print('something else')"])
def test_a_worker_that_does_not_start_is_one_line(script, monkeypatch):
    monkeypatch.setattr(grading_pool, "WORKER", ("-c", script))
    with pytest.raises(InputError, match=r"a grading worker does not start \(.*: is math-verify"):
        grade(["\\boxed{3}"], ["3"])


def test_no_process_to_be_had_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(InputError, match="a grading worker does not start"):
        grade(["\\boxed{3}"], ["3"])


def test_what_the_caller_raises_ends_all_workers_at_once(odd):
    begun = time.monotonic()
    texts = [f"as it is: \\boxed{{{n}}}" for n in range(16)] + ["sleeps: \\boxed{1}"] * 16
    with pytest.raises(ZeroDivisionError):
        grade(texts, ["1"] * 32, workers=2, progress=lambda *_: 1 / 0)
    assert time.monotonic() - begun < LIMIT
    assert not alive(odd)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_ends_the_grading_and_grades_nothing_wrong(number, odd, tmp_path):
    def work():
        grades = grade(["sleeps: \\boxed{1}"] * 32, ["1"] * 32, workers=2)
        print(f"graded {len(grades)}")

    command = Forked(work, tmp_path)
    command.wait_until(lambda: len(alive(odd)) == 2)
    status, seconds = command.stopped_by(number)
    assert status == 128 + number
    assert seconds < LIMIT
    assert "graded" not in command.said()
    assert "Traceback" not in command.said()
    assert not alive(odd)


def test_ctrl_c_does_not_reach_the_workers(odd, tmp_path):
    """Of a command that finishes what it grades, as a run does that is asked to stop."""

    def work():
        with postponed(lambda _: print("not now")):
            grades = grade(["dies once: \\boxed{1}", *["as it is: \\boxed{1}"] * 999], ["1"] * 1000)
            print(f"graded {sum(verdict.correct for verdict in grades)}")

    command = Forked(work, tmp_path)
    command.wait_until(lambda: alive(odd))
    status, _ = command.stopped_by(signal.SIGINT)
    assert status == 130
    assert command.said().splitlines()[1:3] == ["not now", "graded 1000"]


def test_workers_end_with_a_command_that_is_killed(odd, tmp_path):
    command = Forked(lambda: grade(["as it is: \\boxed{1}"] * 10**5, ["1"] * 10**5), tmp_path)
    command.wait_until(lambda: alive(odd))
    command.stopped_by(signal.SIGKILL)
    end = time.monotonic() + LIMIT
    while alive(odd):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_grading_off_the_main_thread(odd):
    found = []
    thread = threading.Thread(target=lambda: found.extend(grade(["as it is: \\boxed{3}"], ["3"])))
    thread.start()
    thread.join()
    assert found[0].correct
    assert not alive(odd)
