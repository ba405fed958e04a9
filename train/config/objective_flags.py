"""Names of objectives, and their hyper-parameters read from what the settings' flags leave over."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

from objectives.catalogue import CATALOGUE
from objectives.errors import InputError
from objectives.spelling import did_you_mean
from train.config.flags import Parser, flag_name
from train.config.future import FUTURE_FLAGS
from train.config.other_names import answer_other_name
from train.config.settings import Config
from train.config.values import conversion, metavar_of

# What no hyper-parameter may be called: flags, and what config.json has beside them.
RESERVED = {
    *(entry.name for entry in fields(Config)), *FUTURE_FLAGS, "objective", "list", "recipe",
    "seeds", "learning_rates", "resume", "help", "version", "left_out", "digests", "command",
    "versions", "git_revision", "threads", "checkpoint", "run", "pairs", "parameters", "reference",
    "log", "resumed",
}  # fmt: skip


def objective_names(text: str) -> list[str]:
    """Read names of objectives with commas between; what `module:function` names is imported.

    Raises InputError for one that is none, and for one of a user's own with a hyper-parameter whose
    flag is another's.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        try:
            entry = CATALOGUE.find(name)
        except InputError as error:
            raise InputError(f"--objective {error}") from None
        for word in entry.kinds:
            if word in RESERVED:
                raise InputError(
                    f"--objective {name}: its hyper-parameter {word} has the name of a setting of "
                    f"every run: rename it"
                )
    return names


def own_flags(objective: str) -> dict[str, Any]:
    """Return an objective's own flags: by name an annotation, or the function that reads it."""
    entry = CATALOGUE[objective]
    settings = {n: entry.kinds.get(n, type(value)) for n, value in entry.settings.items()}
    if "lam" in settings:
        settings |= {name: flag.read for name, flag in FUTURE_FLAGS.items()}
    return {**entry.kinds, **settings}


def require_known(word: str, objectives: Sequence[str], others: Collection[str] = ()) -> None:
    """Raise InputError where a word is no flag of the objectives, with the near ones.

    others: the flags that a command has besides.
    """
    own = sorted({flag_name(name) for objective in objectives for name in own_flags(objective)})
    if word.replace("_", "-") in own:
        return
    answer_other_name(word, others)
    every = {flag: [] for flag in others}
    for objective in CATALOGUE:
        for name in own_flags(objective):
            every.setdefault(flag_name(name), []).append(objective)
    owners = every.get(word.replace("_", "-"))
    who = "any objective" if len(objectives) == len(CATALOGUE) else " or ".join(objectives)
    hint = f"; it is one of {', '.join(owners)}" if owners else did_you_mean(word, every)
    raise InputError(
        f"{word} is not a flag of {who}, which has "
        f"{', '.join(own) or 'none of its own'} (see --help for those of every objective)"
        f"{hint}"
    )


def add_objective_help(parser: Parser, objectives: Sequence[str]) -> None:
    """Add the objectives' own flags to what --help shows; `hyper_parameters` reads them."""
    shown = set(parser.flags)
    for objective in objectives:
        entry, known = CATALOGUE[objective], own_flags(objective)
        group = parser.add_argument_group(f"{objective}: {entry.summary.removesuffix('.')}")
        for name in known:
            if flag_name(name) in shown:
                continue
            shown.add(flag_name(name))
            if name in FUTURE_FLAGS:
                _, metavar, default, text = FUTURE_FLAGS[name]
                default = entry.defaults.get(name, default)
            else:
                text, default = entry.help[name].replace("%", "%%"), entry.defaults[name]
                metavar = metavar_of(known[name])
            group.add_argument(
                flag_name(name),
                metavar=metavar,
                default=default,
                help=text.replace("%", "%%"),
            )


def hyper_parameters(
    words: Sequence[str], objectives: Sequence[str], others: Collection[str] = ()
) -> dict[str, dict]:
    """Read what is left of a command line as hyper-parameters of the named objectives.

    others: the command's flags, which were read already.
    Returns for each objective those of the given ones that it has. Raises InputError for a flag
    that none of them has, with a list of those they have.
    """
    known = {name: own_flags(name) for name in objectives}
    given: dict[str, dict] = {name: {} for name in objectives}
    words = [part for word in words for part in _split(word)]
    while words:
        word = words.pop(0)
        require_known(word, objectives, others)
        name = word.removeprefix("--").replace("-", "_")
        owners = [o for o in objectives if name in known[o]]
        if not words:
            raise InputError(f"{word} needs a value")
        convert, choices = conversion(known[owners[0]][name])
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
