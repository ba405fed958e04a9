"""Recipes: files of settings to start from, for `python -m train --recipe NAME_OR_FILE`."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from objectives.errors import InputError
from objectives.json_files import parsed, read_text
from objectives.text_table import aligned
from train.config.flags import Parser, flag_name, flagged, peek
from train.config.settings import Config
from train.config.values import expected, fits

READY = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(path.stem for path in READY.glob("*.toml"))


def recipes_table() -> str:
    """Return a line for each recipe that comes with the package: its name and what it is for."""
    return aligned(
        [
            (name, _ready(name).read_text().splitlines()[0].removeprefix("# "))
            for name in recipe_names()
        ]
    )


def ready_config(model: str) -> Path | None:
    """Return the configuration's file of a model that comes with a recipe; None for others.

    model: the recipe's name, or its model's on the hub.
    """
    for name in recipe_names():
        if model in (name, read_recipe(name)["model"]):
            return READY / f"{name}.json"
    return None


def add_recipe_flag(parser: Parser) -> None:
    """Add `--recipe` to a command's flags."""
    parser.add_argument(
        "--recipe", metavar="NAME_OR_FILE",
        help=f"settings to start from, other flags win: {', '.join(recipe_names())}, or a .toml or "
        f".json file of flags' values",
    )  # fmt: skip


def recipe_of(words: Sequence[str]) -> dict[str, Any]:
    """Return the settings of the recipe that a command line names, the defaults of its flags."""
    source = peek(words, "--recipe")
    return {} if source is None else read_recipe(source)


def read_recipe(source: str) -> dict[str, Any]:
    """Return the settings of a recipe, by the names of Config's fields.

    source: one of `recipe_names`, or a TOML or JSON file of flags' values, such as
    `learning_rate = 1e-6`. Raises InputError for what is neither, and naming the file and key for
    what is no setting of a run or has another type.
    """
    path = _ready(source) if source in recipe_names() else Path(source)
    known = {entry.name: entry.type for entry in flagged(Config)}
    values = _parse(source, path)
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"{path}: {name} is not a setting that every objective has ({flag_name(name)} is "
                f"not in --help): remove it, or give it on the command line"
            )
        if not fits(known[name], value):
            raise InputError(f"{path}: {name} is {value!r:.60}, expected {expected(known[name])}")
    return values


def _ready(name: str) -> Path:
    return READY / f"{name}.toml"


def _parse(source: str, path: Path) -> dict[str, Any]:
    readers = {".toml": ("TOML", tomllib.loads), ".json": ()}
    if path.suffix not in readers or not path.is_file():
        raise InputError(
            f"--recipe {source}: not one of {', '.join(recipe_names())}, and no .toml or .json "
            f"file that is there"
        )
    values = parsed(read_text(path), str(path), *readers[path.suffix])
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected names of settings with values, as in {{...}}")
    return values
