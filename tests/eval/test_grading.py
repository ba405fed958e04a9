"""Grading by math-verify in processes that can be killed."""

import subprocess
import time

import pytest

from eval import grading_pool
from eval.grading import grade

EQUIVALENT = [
    ("\\frac12", "So it is \\boxed{0.5}."),
    ("0.5", "$\\frac{1}{2}$"),
    ("50\\%", "\\boxed{50\\%}"),
    ("43", "The answer is 43."),
    ("\\{1, 2\\}", "\\boxed{\\{2, 1\\}}"),
    ("x^2 + 2x + 1", "\\boxed{(x+1)^2}"),
    ("1234", "\\boxed{1,234}"),
    ("(3, \\frac{\\pi}{2})", "\\boxed{(3, \\pi/2)}"),
    ("12", "first \\boxed{12}"),
]
DIFFERENT = [
    ("43", "The answer is 44."),
    ("\\frac12", "\\boxed{2}"),
    ("\\{1, 2\\}", "\\boxed{\\{1, 3\\}}"),
    ("12", "12 apples less one make \\boxed{11}"),
]


def test_equivalent_forms_are_correct_and_others_are_not():
    cases = EQUIVALENT + DIFFERENT
    grades = grade([text for _, text in cases], [gold for gold, _ in cases])
    verdicts = [verdict.correct for verdict in grades]
    assert verdicts == [True] * len(EQUIVALENT) + [False] * len(DIFFERENT)
    assert {verdict.status for verdict in grades} == {"ok"}


def test_what_cannot_be_read_is_said_and_not_confused():
    no_answer, no_gold = grade(["I do not know", "\\boxed{3}"], ["3", "$$"])
    assert no_answer == (False, None, "unparseable", False)
    assert no_gold.status == "unparseable_gold"


def test_a_completion_that_hangs_costs_its_limit_and_its_worker_alone(monkeypatch):
    monkeypatch.setattr(grading_pool, "PATIENCE", 1000)  # processor time alone ends it
    started = time.monotonic()
    tower = "\\boxed{9^{9^{9^{9^{9}}}}}"
    grades = grade([tower, "\\boxed{3}"], ["3", "3"], workers=1, time_limit=1.0)
    assert [verdict.status for verdict in grades] == ["timeout", "ok"]
    assert [verdict.correct for verdict in grades] == [False, True]
    assert time.monotonic() - started < 20  # a limit, two starts of a worker and slack


def test_a_worker_that_only_waits_is_ended_too(monkeypatch):
    asleep = "import time; print('ready', flush=True); time.sleep(60)"
    monkeypatch.setattr(grading_pool, "WORKER", ("-c", asleep))
    started = time.monotonic()
    assert grade(["\\boxed{3}"], ["3"], time_limit=0.1)[0].status == "timeout"
    assert time.monotonic() - started < 20


def test_order_is_kept_and_progress_reported():
    seen = []
    golds = [str(n) for n in range(60)]
    grades = grade(
        [f"\\boxed{{{n}}}" for n in golds], golds, workers=2, progress=lambda *x: seen.append(x)
    )
    assert all(verdict.correct for verdict in grades)
    assert [verdict.answer for verdict in grades] == golds
    assert seen[-1] == (60, 60)


def test_no_worker_is_left_behind(monkeypatch):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(grading_pool.subprocess, "Popen", Recorded)
    with pytest.raises(ZeroDivisionError):
        grade(["1"], ["1"], progress=lambda *_: 1 / 0)
    assert started
    assert all(worker.poll() is not None for worker in started)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 completions but 1"):
        grade(["1", "2"], ["1"])


def test_a_completion_that_takes_all_memory_costs_its_worker_alone(monkeypatch):
    small = "import eval.grading_worker as own; own.MEMORY = 300 << 20; own.main(60)"
    monkeypatch.setattr(grading_pool, "WORKER", ("-P", "-c", small))
    bomb = "\\boxed{\\left(1+x\\right)^{3000000}}"  # two gigabytes within five seconds
    grades = grade([bomb, "\\boxed{3}"], ["3", "3"], workers=1, time_limit=60)
    assert [verdict.correct for verdict in grades] == [False, True]
    assert grades[0].status == "timeout"
