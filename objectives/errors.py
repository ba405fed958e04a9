"""One clear line for what a user got wrong, and the exit status that tells ends apart."""

import io
import os
import sys
from collections.abc import Callable

from objectives.signals import Interrupted, answered


class InputError(Exception):
    """Bad input from the user: the message names the file, row or flag, and the remedy."""

    status = 2


class Stopped(InputError):
    """A signal ended work that can be gone on with: the message says how."""

    def __init__(self, message: str, number: int):
        """number: the signal's."""
        super().__init__(message, number)
        self.status = Interrupted(number).status

    def __str__(self) -> str:
        return self.args[0]


def command_line(main: Callable[[], None], silent: bool = False) -> None:
    """Run `main`; print what ends it as one line, and exit with the status of that.

    2: what a user got wrong, or a disk that takes no more. 130 and 143: SIGINT and SIGTERM.
    silent: print nothing, as beside a process that does.
    """
    say = (lambda line: None) if silent else _say
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may have bytes that are no UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        with answered(silent):
            main()
    except InputError as error:
        say(str(error))
        raise SystemExit(error.status) from None
    except KeyboardInterrupt as error:
        stop = error if isinstance(error, Interrupted) else Interrupted()
        say(str(stop))
        raise SystemExit(stop.status) from None
    except BrokenPipeError:  # whoever reads the output, as `head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        say(f"{error.strerror}{where}; what was written before stays as it is")
        raise SystemExit(InputError.status) from None


def _say(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
