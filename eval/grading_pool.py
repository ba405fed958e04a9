"""Processes that grade: as many as are of use, replaced when they end, ended with the command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from enum import Enum
from pathlib import Path
from threading import Event, Lock, Timer

from objectives.errors import InputError

# -P: beside an `eval/` of one's own it is still this one.
WORKER = ("-P", "-m", "eval.grading_worker")
PATIENCE = 10  # times the processor's limit, for a worker that does not even compute
TRIES = 3  # for what ended its worker otherwise than by its limits, and to start one


class End(Enum):
    """Why there is no reply."""

    LIMIT = "timeout"  # it took all the time, or memory, that it may
    DIED = "died"  # its worker ended, again and again


def replies(
    asked: Sequence[dict],
    workers: int | None,
    time_limit: float,
    report: Callable[[int, int], None] = lambda *_: None,
) -> list:
    """Return what worker processes reply to each of `asked`, in order, or an End.

    workers: how many, by default one per core, at most 8. time_limit: processor seconds for each.
    report: called with how many have a reply, and how many there are. Whatever is raised meanwhile,
    a signal included, ends them. Raises InputError where no worker starts.
    """
    if not asked:
        return []
    count = min(workers or min(os.cpu_count() or 1, 8), max(1, len(asked) // 16))
    pool = _Pool(asked, time_limit, report)
    team = [_Worker(time_limit, pool.ended) for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:
        try:
            tasks = [threads.submit(pool.serve, worker) for worker in team]
            wait(tasks, return_when=FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            pool.ended.set()
            for worker in team:
                worker.kill()
    return [pool.replies[index] for index in range(len(asked))]


class _Pool:
    """What is asked, shared among workers, and what they replied."""

    def __init__(self, asked: Sequence[dict], time_limit: float, report: Callable):
        self.asked, self.report = asked, report
        self.ended = Event()
        self.replies: dict[int, object] = {}
        self._queue, self._lock = iter(range(len(asked))), Lock()

    def serve(self, worker: "_Worker") -> None:
        """Let a worker reply until nothing is left."""
        with worker:
            for index in self._shared():
                reply = worker.reply(self.asked[index])
                with self._lock:
                    self.replies[index] = reply
                    self.report(len(self.replies), len(self.asked))

    def _shared(self) -> Iterator[int]:
        while not self.ended.is_set():
            with self._lock:
                index = next(self._queue, None)
            if index is None:
                return
            yield index


class _Worker:
    """A grading process, replaced by a new one when it has ended."""

    def __init__(self, time_limit: float, ended: Event):
        """ended: set when none is wanted any more."""
        self.time_limit, self.ended = time_limit, ended
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "_Worker":
        self._start()
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def kill(self) -> None:
        """End the process, from whatever thread."""
        if self.process is not None:
            self.process.kill()

    def reply(self, asked: dict):
        """Return the reply to what is asked, or an End."""
        for _ in range(TRIES):
            reply, late = self._ask(json.dumps(asked) + "\n")
            if reply.endswith("\n"):
                return json.loads(reply)
            status = self._stop()
            if self.ended.is_set():
                break
            self._start()
            if late or status == -signal.SIGPROF:
                return End.LIMIT
        return End.DIED

    def _ask(self, line: str) -> tuple[str, bool]:
        """Return the line that comes back, torn where the process ends, and whether we ended it."""
        process, late = self._running(), Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = Timer(PATIENCE * self.time_limit, end)
        timer.start()
        try:
            self.questions.write(line)
            self.questions.flush()
            return self.answers.readline(), late.is_set()
        except BrokenPipeError:
            return "", late.is_set()
        finally:
            timer.cancel()

    def _start(self) -> None:
        for _ in range(TRIES):
            self._launch()
            if self.answers.readline() == "ready\n":
                return
            status = self._stop()
            if self.ended.is_set():
                return
        raise _not_started(f"its status is {status}")

    def _launch(self) -> None:
        root = str(Path(__file__).parent.parent)
        path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
        try:
            self.process = subprocess.Popen(
                [sys.executable, *WORKER, str(self.time_limit)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is ours to answer
                env={**os.environ, "PYTHONPATH": path},
            )
        except OSError as error:
            raise _not_started(str(error)) from None
        assert self.process.stdin is not None  # they are pipes
        assert self.process.stdout is not None
        self.questions, self.answers = self.process.stdin, self.process.stdout
        if self.ended.is_set():
            self.process.kill()

    def _running(self) -> subprocess.Popen:
        assert self.process is not None
        return self.process

    def _stop(self) -> int:
        """End the process; return its status."""
        process = self._running()
        process.kill()
        status = process.wait()
        for pipe in (self.questions, self.answers):
            with suppress(OSError):  # what it did not read
                pipe.close()
        return status


def _not_started(reason: str) -> InputError:
    return InputError(
        f"a grading worker does not start ({reason}): is math-verify installed, and is there "
        f"memory for it?"
    )
