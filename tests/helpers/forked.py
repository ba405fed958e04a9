"""Commands in processes of their own, forked so that nothing has to be loaded again."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from objectives.errors import command_line

BEGUN = "begun"  # the first line that a command prints here
PATIENCE = 120  # seconds for what takes few


class Forked:
    """A command that runs in a process, and a process group, of its own."""

    def __init__(self, main: Callable[[], object], folder: Path, words: str = ""):
        """main: of a command. folder: to work in; it gets `N.log`. words: after its name."""
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{time.monotonic_ns()}.log"
        self.pid = os.fork()
        if not self.pid:
            self._run(main, folder, words)

    def _run(self, main: Callable[[], object], folder: Path, words: str) -> None:
        status = 70  # of a traceback
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a test may run without
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
            os.chdir(folder)
            sys.argv = ["command", *words.split()]

            def begun() -> None:  # from here signals are answered
                print(BEGUN)
                main()

            command_line(begun)
            status = 0
        except SystemExit as end:
            status = end.code
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            sys.stdout.flush()
            os._exit(status)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, text: str) -> None:
        """Return when the command has said something."""
        self.wait_until(lambda: text in self.said())

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Return when something holds; fail where the command ends before."""
        end = time.monotonic() + PATIENCE
        while not holds():
            gone, status = os.waitpid(self.pid, os.WNOHANG)
            assert not gone, f"ended with {os.waitstatus_to_exitcode(status)}: {self.said()}"
            assert time.monotonic() < end, self.said()
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        """Signal the command's whole process group, as Ctrl-C does."""
        os.killpg(self.pid, number)

    def wait(self) -> tuple[int, float]:
        """Return the exit status, and after how many seconds it came."""
        begun = time.monotonic()
        while time.monotonic() < begun + PATIENCE:
            gone, status = os.waitpid(self.pid, os.WNOHANG)
            if gone:
                return os.waitstatus_to_exitcode(status), time.monotonic() - begun
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"it does not end: {self.said()}")

    def stopped_by(self, number: int) -> tuple[int, float]:
        """Send a signal; return the exit status, and after how many seconds it came."""
        self.signal(number)
        return self.wait()
