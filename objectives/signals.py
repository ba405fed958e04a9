"""Ctrl-C and SIGTERM: answered within seconds whatever a command is at, with a status of their own.

A command ends at once, but for what must not be torn, which `postponed` marks and which itself may
mark, by `at_once`, what need not be finished.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 3.0  # seconds for a command that is asked to end; then it is ended


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status by which shells and schedulers know: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {name_of(self.number)}; what was written before stays as it is"


class Undone(Interrupted):
    """A signal ended what may be left undone, `at_once`, where the rest is postponed."""


class Request:
    """Whether a signal asks for the end of what is `postponed`, and which."""

    number: int | None = None
    at_once = False  # whether the stretch that runs now may be left in the middle

    def __init__(self, say: Callable[[str], object]):
        self._say = say

    def arrived(self, number: int, frame: object = None) -> None:
        """Take note of the first signal, or raise Undone; raise Interrupted at the second."""
        if self.number is not None:
            raise Interrupted(number)
        self.number = number
        if self.at_once:
            raise Undone(number)
        self._say(f"{name_of(number)}: stopping as soon as what is begun is whole; again: at once")


_request: Request | None = None  # of what is postponed now
_watched = False  # whether signals of this process are `answered`
_masks: list[set] = []  # of signals that were blocked before a fork


def name_of(number: int) -> str:
    """Return a signal's name, such as SIGTERM."""
    return signal.Signals(number).name


@contextmanager
def postponed(say: Callable[[str], object]) -> Iterator[Request]:
    """Let a signal wait for the end of what is within, which may look for it and end early.

    say: told, in a line, that the signal has come. A second signal raises Interrupted at once, and
    so does the end, where nothing else was raised for the first. Off the main thread, which alone
    may handle signals, nothing is postponed.
    """
    global _request
    request = Request(say)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.arrived) for number in SIGNALS}
    outer, _request = _request, request
    try:
        yield request
    finally:
        _request = outer
        for number, handler in before.items():
            signal.signal(number, handler)
    if request.number is not None:
        raise Interrupted(request.number)


@contextmanager
def at_once() -> Iterator[None]:
    """Within what is postponed: let a signal, or one that waits, raise Undone here."""
    request = _request
    if request is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = request.at_once
    try:
        request.at_once = True
        if request.number is not None:
            raise Undone(request.number)
        yield
    finally:
        request.at_once = before


@contextmanager
def answered(silent: bool = False) -> Iterator[None]:
    """Raise Interrupted at a signal, and end the process where that alone does not end it in time.

    It does not where a library is at work for long outside of Python. silent: without a word then.
    """
    global _watched
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    waker = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    watch = threading.Thread(target=_watch, args=(reading, silent), daemon=True)
    watch.start()
    outer, _watched = _watched, True
    try:
        yield
    finally:
        _watched = outer
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(waker)
        os.close(writing)
        watch.join()


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


def _watch(reading: int, silent: bool) -> None:
    """Read the signals that the kernel hands on, also while Python cannot, until the pipe ends."""
    first, count, deadline = 0, 0, None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if select.select([reading], [], [], left)[0]:
            found = os.read(reading, 64)
            if not found:
                os.close(reading)
                return
            numbers = [number for number in found if number in SIGNALS]
            first, count = first or next(iter(numbers), 0), count + len(numbers)
            if numbers and deadline is None:
                deadline = time.monotonic() + PATIENCE
        elif _request is not None and count == 1:
            deadline = None  # what is postponed is made whole first
        else:
            if not silent:
                os.write(2, f"\nerror: {Interrupted(first)}\n".encode())
            os._exit(Interrupted(first).status)


def _before_fork() -> None:
    if _watched:
        _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS))


def _after_fork(child: bool) -> None:
    """Let signals through again; in the child, whose signals are not its parent's, to itself."""
    if _masks:
        if child:
            signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


os.register_at_fork(
    before=_before_fork,
    after_in_parent=partial(_after_fork, child=False),
    after_in_child=partial(_after_fork, child=True),
)
