"""A large data set's token ids on disk: tokenised once, whole or not there."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import datasets.config
import numpy as np
import tokenizers
import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from objectives.errors import InputError
from objectives.whole_files import flush
from train.data.kept_file import alone
from train.data.table import TrajectoryTable

FORMAT = 5  # of the files and of the rules by which rows become ids

Columns = tuple[dict[str, Tensor], dict]  # what a data set has besides the ids, tensors and values
Make = Callable[[Callable[[np.ndarray], None]], Columns]


def token_folder(choice: str) -> Path | None:
    """Return the folder that --token-cache names, None for `off`.

    `auto` is in the cache of Hugging Face datasets, which HF_DATASETS_CACHE moves.
    """
    if choice == "off":
        return None
    if choice == "auto":
        return Path(datasets.config.HF_DATASETS_CACHE) / "objective-zoo"
    return Path(choice)


def token_path(
    folder: Path,
    table: TrajectoryTable,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    vocabulary: int | None,
) -> Path:
    """Return the file of a table's ids, named by a digest of all that they depend on."""
    versions = [FORMAT, transformers.__version__, tokenizers.__version__]
    made_of = [*versions, table.source.identity(), _identity(tokenizer), max_tokens,
               vocabulary]  # fmt: skip
    digest = hashlib.blake2b(json.dumps(made_of).encode(), digest_size=12)
    return folder / f"{digest.hexdigest()}.ids"


def _identity(tokenizer: PreTrainedTokenizerBase) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tokenizer.save_pretrained(folder)  # vocabulary, chat template and settings
        except Exception as error:  # of several libraries, for a full disk
            raise _unwritable(Path(folder), error) from None
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def kept_ids(path: Path, make: Make) -> tuple[Tensor, Columns]:
    """Return ids, memory-mapped, and columns from the file `path`, made first where not there.

    make: is given a function that takes the next ids, int32, and returns the columns. Where several
    processes need the same file, one makes it and the others wait. A file that was cut short is
    made again. Raises InputError where it cannot be written.
    """
    found = _read(path)
    if found is None:
        try:
            with alone(path):
                if _read(path) is None:
                    _write(path, make)
                found = _read(path)
        except OSError as error:
            raise _unwritable(path, error) from None
    if found is None:
        raise _unwritable(path, OSError("it does not read back as it was written"))
    return found


def _read(path: Path) -> tuple[Tensor, Columns] | None:
    columns = path.with_suffix(".safetensors")
    if not columns.exists():
        return None
    try:
        with safe_open(columns, framework="pt") as file:
            values = json.loads(file.metadata()["values"])
            # Copied, so that the file may go while they are used.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        count = values.pop("ids")
        if path.stat().st_size == count * 4:
            return _mapped(path, count), (tensors, values)
    except (OSError, KeyError, ValueError, SafetensorError):
        return None
    return None


def _mapped(path: Path, count: int) -> Tensor:
    if not count:
        return torch.empty(0, dtype=torch.int32)
    # Mode c: private, as torch has no read-only tensors.
    return torch.from_numpy(np.memmap(path, np.int32, "c", shape=(count,)))


def _write(path: Path, make: Make) -> None:
    """Write the ids as they come, then the columns, which are the sign that all is there."""
    columns, partial = path.with_suffix(".safetensors"), path.with_suffix(".partial")
    count = 0
    try:
        if columns.exists():
            print(f"{path} is not whole: made again", flush=True)
            columns.unlink()
        with partial.open("wb", buffering=2**20) as file:

            def append(ids: np.ndarray) -> None:
                nonlocal count
                file.write(ids.tobytes())
                count += len(ids)

            tensors, values = make(append)
        flush(partial)
        partial.replace(path)
        metadata = {"values": json.dumps({**values, "ids": count})}
        save_file(tensors, partial, metadata)
        flush(partial)
        partial.replace(columns)
    except (OSError, SafetensorError) as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)
    print(f"token ids: {count} tokens, {count * 4 / 1e6:.0f} MB in {path}", flush=True)


def _unwritable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be written ({error}): free some space, name another folder with "
        f"--token-cache, or --token-cache off to keep the ids in memory"
    )
