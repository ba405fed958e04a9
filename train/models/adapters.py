"""Folders of adapters, in peft's layout, and where what these are put into is."""

import json
from pathlib import Path

from objectives.errors import InputError

ADAPTER_CONFIG = "adapter_config.json"  # peft's
BASE_OF_ADAPTER = "base_model_name_or_path"  # in it


def is_adapter(folder: Path) -> bool:
    """Say whether a folder holds an adapter in peft's layout."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of_adapter(folder: Path) -> str:
    """Return the name of the model that a folder's adapter is put into, as `load_model` takes it.

    Raises InputError where it has none.
    """
    try:
        name = json.loads((folder / ADAPTER_CONFIG).read_text())[BASE_OF_ADAPTER]
        itself = Path(name).resolve() == folder.resolve()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        name, itself = None, False
    if name is None or itself:
        raise InputError(f"--model {folder}: its {ADAPTER_CONFIG} names no base model")
    return _found_from(folder, name)


def _found_from(folder: Path, name: str) -> str:
    """Return where an adapter's base is.

    name: as the adapter has it: a relative path may be one from the working folder, or from the
    adapter's own, or from one above it, where the command was given that wrote it.
    """
    if not Path(name).is_absolute() and not Path(name).exists():
        for above in (folder.resolve(), *folder.resolve().parents):
            there = above / name
            model = (there / "config.json").is_file() or is_adapter(there)
            if model or (there.suffix == ".gguf" and there.is_file()):
                return str(there)
    return name
