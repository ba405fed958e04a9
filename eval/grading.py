"""Grading of completions against gold answers by math-verify, in processes that can be killed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock, Timer
from typing import NamedTuple

# -P: beside an `eval/` of one's own it is still this one.
WORKER = ("-P", "-m", "eval.grading_worker")
INTEGER = re.compile(r"-?\d{1,300}")
PATIENCE = 10  # times the processor's limit, for a worker that does not even compute


class Grade(NamedTuple):
    """The verdict on a completion."""

    correct: bool
    answer: str | None  # as it was understood
    status: str  # ok, unparseable, unparseable_gold or timeout
    boxed: bool = False  # the answer was in a box or between answer tags


def grade(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    truncated: Sequence[bool] | None = None,
    questions: Sequence[str] | None = None,
    workers: int | None = None,
    time_limit: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Grade]:
    """Grade each completion against its gold answer.

    truncated: which were cut off; of those a finished box or answer line counts alone. By default
        none.
    questions: what was asked, which may ask for a percentage or a number in another base; by
        default not known.
    workers: processes, by default one per core, at most 8.
    time_limit: processor seconds for a completion, whatever else the machine does; then its worker
        ends and it counts as incorrect.
    progress: called with (completions graded, completions in all).
    Returns a Grade each, in order. Raises ValueError where these differ in length.
    """
    count = len(completions)
    truncated = [False] * count if truncated is None else truncated
    questions = [""] * count if questions is None else questions
    if not count == len(golds) == len(truncated) == len(questions):
        raise ValueError(
            f"{count} completions but {len(golds)} gold answers, {len(truncated)} marks of what "
            f"was cut off and {len(questions)} questions"
        )
    asked = [
        {"completion": text, "gold": gold, "truncated": bool(cut), "question": question}
        for text, gold, cut, question in zip(completions, golds, truncated, questions, strict=True)
    ]
    replies = _answered(asked, workers, time_limit, progress or (lambda *_: None))
    return [Grade(False, None, "timeout") if r is None else Grade(**r) for r in replies]


def votes(
    answers: Sequence[Sequence[str | None]], *, time_limit: float = 5.0
) -> list[list[str | None]]:
    """Return, of each problem's answers, those of equal value in one spelling.

    answers: problems x samples, None where there is no answer. time_limit: processor seconds for a
    problem; then only what is spelled alike is one answer. Each is replaced by the first of its
    value.
    """
    distinct = [list(dict.fromkeys(filter(None, row))) for row in answers]
    asked = [n for n, texts in enumerate(distinct) if not all(map(INTEGER.fullmatch, texts))]
    replies = _answered([{"answers": distinct[n]} for n in asked], None, time_limit)
    spelling = [{text: _without_zeros(text) for text in texts} for texts in distinct]
    for n, firsts in zip(asked, replies, strict=True):
        spelling[n] = dict(zip(distinct[n], firsts or distinct[n], strict=True))
    return [
        [text and names.get(text) for text in row]
        for row, names in zip(answers, spelling, strict=True)
    ]


def _without_zeros(text: str) -> str:
    return str(int(text)) if INTEGER.fullmatch(text) else text


def _answered(
    asked: Sequence[dict],
    workers: int | None,
    time_limit: float,
    report: Callable[[int, int], None] = lambda *_: None,
) -> list:
    """Return what worker processes reply, in order, None where one took too long."""
    replies: dict[int, object] = {}
    queue, lock, done = iter(range(len(asked))), Lock(), 0

    def serve() -> None:
        nonlocal done
        with _Worker(time_limit) as worker:
            for index in _shared(queue, lock):
                replies[index] = worker.reply(asked[index])
                with lock:
                    done += 1
                    report(done, len(asked))

    if not asked:
        return []
    count = min(workers or min(os.cpu_count() or 1, 8), max(1, len(asked) // 16))
    with ThreadPoolExecutor(count) as pool:
        for served in [pool.submit(serve) for _ in range(count)]:
            served.result()
    return [replies[index] for index in range(len(asked))]


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

    def reply(self, asked: dict):
        """Return the reply to what is asked, None where it takes too long."""
        timer = Timer(PATIENCE * self.time_limit, self.process.kill)
        timer.start()
        try:
            self.questions.write(json.dumps(asked) + "\n")
            self.questions.flush()
            reply = self.answers.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            timer.cancel()
        if reply:
            return json.loads(reply)
        self._stop()
        self._start()
        return None

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
