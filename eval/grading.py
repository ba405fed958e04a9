"""Grading of completions against gold answers by math-verify, in processes that can be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock, Timer
from typing import NamedTuple

# -P: beside an `eval/` of one's own it is still this one.
WORKER = ("-P", "-m", "eval.grading_worker")
PATIENCE = 10  # times the processor's limit, for a worker that does not even compute


class Grade(NamedTuple):
    """The verdict on a completion."""

    correct: bool
    answer: str | None  # as it was understood
    status: str  # ok, unparseable, unparseable_gold or timeout


def grade(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    workers: int | None = None,
    time_limit: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Grade]:
    """Grade each completion against its gold answer.

    workers: processes, by default one per core, at most 8.
    time_limit: processor seconds for a completion, whatever else the machine does; then its worker
        ends and it counts as incorrect.
    progress: called with (completions graded, completions in all).
    Returns a Grade each, in order. Raises ValueError where the two differ in length.
    """
    if len(completions) != len(golds):
        raise ValueError(f"{len(completions)} completions but {len(golds)} gold answers")
    grades: dict[int, Grade] = {}
    queue, lock, report = iter(range(len(completions))), Lock(), progress or (lambda *_: None)
    done = 0

    def serve() -> None:
        nonlocal done
        with _Worker(time_limit) as worker:
            for index in _shared(queue, lock):
                grades[index] = worker.grade(completions[index], golds[index])
                with lock:
                    done += 1
                    report(done, len(completions))

    count = min(workers or min(os.cpu_count() or 1, 8), max(1, len(completions) // 16))
    with ThreadPoolExecutor(count) as pool:
        for served in [pool.submit(serve) for _ in range(count)]:
            served.result()
    return [grades[index] for index in range(len(completions))]


def _shared(queue: Iterator[int], lock: Lock) -> Iterator[int]:
    while True:
        with lock:
            index = next(queue, None)
        if index is None:
            return
        yield index


class _Worker:
    """A grading process, replaced by a new one when it had to be killed."""

    def __init__(self, time_limit: float):
        self.time_limit = time_limit

    def __enter__(self) -> "_Worker":
        self._start()
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def grade(self, completion: str, gold: str) -> Grade:
        timer = Timer(PATIENCE * self.time_limit, self.process.kill)
        timer.start()
        try:
            self.questions.write(json.dumps([completion, gold]) + "\n")
            self.questions.flush()
            reply = self.answers.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            timer.cancel()
        if reply:
            return Grade(**json.loads(reply))
        self._stop()
        self._start()
        return Grade(False, None, "timeout")

    def _start(self) -> None:
        root = str(Path(__file__).parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, *WORKER, str(self.time_limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
            },
        )
        assert self.process.stdin is not None  # they are pipes
        assert self.process.stdout is not None
        self.questions, self.answers = self.process.stdin, self.process.stdout
        if self.answers.readline() != "ready\n":
            raise RuntimeError("the grading worker does not start: is math-verify installed?")

    def _stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.questions.close()
        self.answers.close()
