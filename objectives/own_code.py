"""Functions of the user's own code, `module:function` or `file.py:function`, imported when named.

Nothing is imported but what a command, a call or a run's `config.json` names.
"""

import hashlib
import importlib
import inspect
import linecache
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from objectives.errors import InputError
from objectives.spelling import did_you_mean

_files: dict[Path, tuple[bytes, ModuleType]] = {}  # that were run, with what was in them


class Loaded(NamedTuple):
    """What a name stands for, and the digest of the source that was run."""

    value: Any
    module: ModuleType
    digest: str | None


def is_own(name: str) -> bool:
    """Say whether a name is one of a user's own code, as it has a colon."""
    return ":" in name


def split_name(name: str) -> tuple[str, str]:
    """Return the module or file of a name, and the function's. Raises InputError without both."""
    place, _, function = name.rpartition(":")
    if not place or not function.isidentifier():
        raise InputError(f"{name}: expected my_package.module:function or my_file.py:function")
    return place, function


def short_name(name: str) -> str:
    """Return a name to call a folder by: a file's without its folders, no character that splits."""
    if not is_own(name):
        return name
    place, function = split_name(name)
    stem = Path(place).stem if place.endswith(".py") else place
    return f"{stem}.{function}"


def load_module(name: str) -> ModuleType:
    """Import the module or run the file of `module:function`.

    A file is run again where it has changed since. Raises InputError where it is not there, or
    cannot be imported, with the line that failed.
    """
    place, _ = split_name(name)
    try:
        if place.endswith(".py"):
            return _run_file(name, Path(place))
        if os.getcwd() not in sys.path and "" not in sys.path:  # as of `zoo`, a script
            sys.path.append(os.getcwd())
        return importlib.import_module(place)
    except InputError:
        raise
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            raise InputError(
                f"{name}: there is no module {error.name}: install it, or start from the folder "
                f"that has it; a file is named with its ending, my_file.py:function"
            ) from None
        raise InputError(f"{name}: importing {place} failed: {told(error)}") from None
    except BaseException as error:  # whatever the code raises, SystemExit too
        raise InputError(f"{name}: importing {place} failed: {told(error)}") from None


def load_function(name: str) -> Loaded:
    """Return what `module:function` names, which can be called.

    Raises InputError where it is not there or cannot be called.
    """
    place, function = split_name(name)
    module = load_module(name)
    if not hasattr(module, function):
        known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise InputError(f"{name}: {place} has no {function}{did_you_mean(function, known)}")
    value = getattr(module, function)
    if not callable(value):
        raise InputError(f"{name}: {function} is a {type(value).__name__}, not a function")
    return Loaded(value, module, source_digest(value, module))


def source_digest(value: Any, module: ModuleType | None = None) -> str | None:
    """Return a digest of the files that a function is defined in and named by; None of none.

    The files that these import are not among them.
    """
    files = {Path(file) for file in (_file_of(value), getattr(module, "__file__", None)) if file}
    sources = []
    for file in sorted(files):
        held = _files.get(file.resolve())
        try:
            sources.append(held[0] if held else file.read_bytes())
        except OSError:  # as of a notebook's cell
            lines = "".join(linecache.getlines(str(file)))
            sources.append(lines.encode())
    if not any(sources):
        return None
    return hashlib.blake2b(b"\0".join(sources), digest_size=16).hexdigest()


def told(error: BaseException, value: Any = None) -> str:
    """Return in one line what was raised, and the line of the user's code that raised it.

    value: the function that was called, whose own file the line is looked for in first.
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError) and error.filename:
        return f"{text.split(' (')[0]} ({error.filename} line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    here = str(Path(__file__).parent)
    files = {_file_of(value)} if value is not None else set()
    own = [frame for frame in frames if frame.filename in files] or [
        frame
        for frame in frames
        if not frame.filename.startswith((here, "<frozen")) and "importlib" not in frame.filename
    ]
    if not own:
        return text
    line = f": `{own[-1].line}`" if own[-1].line else ""
    return f"{text} ({own[-1].filename} line {own[-1].lineno}{line})"


def _file_of(value: Any) -> str | None:
    from objectives.transform import Transform  # torch, which the names alone do without

    value = getattr(value, "loss", value)
    while isinstance(value, Transform):
        value = value.base
    while isinstance(value, partial):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    if code is None:  # of an object that can be called
        code = getattr(vars(type(value)).get("__call__"), "__code__", None)
    return None if code is None else code.co_filename


def _run_file(name: str, path: Path) -> ModuleType:
    """Run a file as a module; the same that was run before is not run again."""
    try:
        source, place = path.read_bytes(), path.resolve()
    except OSError as error:
        raise InputError(f"{name}: {path} cannot be read ({error.strerror})") from None
    before = _files.get(place)
    if before is not None and before[0] == source:
        return before[1]
    # Its name is its own, so that no other module is taken for it, nor it for another.
    called = f"{path.stem}_{hashlib.blake2b(str(place).encode(), digest_size=4).hexdigest()}"
    module = ModuleType(called)
    module.__file__ = str(place)
    if str(place.parent) not in sys.path:  # at the end: what it imports from beside it
        sys.path.append(str(place.parent))
    linecache.checkcache(str(place))
    former = sys.modules.get(called)
    sys.modules[called] = module
    try:
        exec(compile(source, str(place), "exec"), module.__dict__)
    except BaseException:
        if former is None:
            del sys.modules[called]
        else:
            sys.modules[called] = former
        raise
    _files[place] = (source, module)
    return module
