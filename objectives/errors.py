"""One clear line for what a user got wrong, and exit status 2."""

import io
import os
import sys
from collections.abc import Callable


class InputError(Exception):
    """Bad input from the user: the message names the file, row or flag, and the remedy."""


def command_line(main: Callable[[], None]) -> None:
    """Run `main`; print an InputError, an interrupt or a full disk as one line and exit with 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may have bytes that are no UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except InputError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop("interrupted; what was written before stays as it is")
    except BrokenPipeError:  # whoever reads the output, as `head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _stop(f"{error.strerror}{where}; what was written before stays as it is")


def _stop(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    raise SystemExit(2)
