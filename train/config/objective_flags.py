"""Hyper-parameters of the named objectives, read from what the settings' flags leave over."""

import argparse
from collections.abc import Sequence
from typing import Any

from objectives import OBJECTIVES
from objectives.errors import InputError
from train.config.flags import conversion, flag_name
from train.config.future import FUTURE_FLAGS


def objective_names(text: str) -> list[str]:
    """Read names of objectives with commas between. Raises InputError for one that is none."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(f"--objective {name}: not one of {', '.join(OBJECTIVES)}")
    return names


def hyper_parameters(words: Sequence[str], objectives: Sequence[str]) -> dict[str, dict]:
    """Read what is left of a command line as hyper-parameters of the named objectives.

    Returns for each objective those of the given ones that it has. Raises InputError for a flag
    that none of them has, with a list of those they have.
    """
    known = {name: _own_flags(name) for name in objectives}
    given: dict[str, dict] = {name: {} for name in objectives}
    words = [part for word in words for part in _split(word)]
    while words:
        word = words.pop(0)
        name = word.removeprefix("--").replace("-", "_")
        owners = [o for o in objectives if name in known[o]]
        if not word.startswith("--") or not owners:
            own = sorted({flag_name(n) for flags in known.values() for n in flags})
            raise InputError(
                f"{word} is not a flag of {' or '.join(objectives)}, which has "
                f"{', '.join(own) or 'none of its own'} (see --help for those of every objective)"
            )
        if not words:
            raise InputError(f"{word} needs a value")
        convert, choices = conversion(known[owners[0]][name], word)
        text = words.pop(0)
        try:
            value = convert(text)
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise InputError(f"{word} {text}: {error}") from None
        if choices and value not in choices:
            raise InputError(f"{word} {text}: choose from {', '.join(map(str, choices))}")
        for owner in owners:
            given[owner][name] = value
    return given


def _split(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") and "=" in word else [word]


def _own_flags(objective: str) -> dict[str, Any]:
    entry = OBJECTIVES[objective]
    settings = {name: type(value) for name, value in entry.settings.items()}
    if "lam" in settings:
        settings |= FUTURE_FLAGS
    return {n: p.annotation for n, p in entry.hyper_parameters.items()} | settings
