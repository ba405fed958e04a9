"""Which model it is: a digest of its files' content, or of its weights where it has none.

Of files and not of what is loaded, which depends on the dtype and on the version of transformers;
and of what they hold, so that a folder may move and be copied.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import PreTrainedModel

from objectives.json_files import read_object
from train.data.kept_file import file_digest
from train.models.adapters import ADAPTER_CONFIG, BASE_OF_ADAPTER, base_of_adapter, is_adapter
from train.models.load import locate

# Files of a folder that make a model what it is: weights, settings, tokenizer.
PARTS = re.compile(
    r"(adapter_)?model.*\.safetensors(\.index\.json)?|(generation_|adapter_)?config\.json"
    r"|tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)"
    r"|merges\.txt|[\w.-]*\.model|chat_template\.(jinja|json)"
)
HASHED_AT_ONCE = 4  # files
OF_VERSION = ("transformers_version", "dtype", "_name_or_path")  # settings that are no model's


def model_digest(name: str) -> str | None:
    """Return a digest of a model's files: of weights, settings and tokenizer.

    name: as `load_model` has it. Of an adapter, those of the model that it is put into too. None
    where it is not on this machine. Raises InputError where no model can be of this name.
    """
    files = _files(name)
    if not files:
        return None
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        digests = list(pool.map(_content, files))
    digest = hashlib.blake2b(digest_size=16)
    for path, own in zip(files, digests, strict=True):
        name = "" if path.suffix == ".gguf" else path.name  # which may be any
        digest.update(f"{name} {own}\n".encode())
    return digest.hexdigest()


def loaded_digest(model: PreTrainedModel) -> str:
    """Return a digest of the weights and the settings of a model that is in memory."""
    digest = hashlib.blake2b(digest_size=16)
    settings = model.config.to_diff_dict()
    settings = {name: value for name, value in settings.items() if name not in OF_VERSION}
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    update_with_weights(digest, model)
    return digest.hexdigest()


def update_with_weights(digest: "hashlib._Hash | hashlib.blake2b", model: PreTrainedModel) -> None:
    """Let a digest see a model's weights, by name."""
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)


def _files(name: str) -> list[Path]:
    if is_adapter(Path(name)):
        return [*_parts(Path(name)), *_files(base_of_adapter(Path(name)))]
    source, options = locate(name)
    if options:
        return [Path(source) / options["gguf_file"]]
    if Path(source).is_dir():
        return _parts(Path(source))
    cached = try_to_load_from_cache(source, "config.json")
    return _parts(Path(cached).parent) if isinstance(cached, str) else []


def _parts(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if PARTS.fullmatch(p.name) and p.is_file())


def _content(path: Path) -> str:
    if path.name != ADAPTER_CONFIG:
        return file_digest(path)
    # Where the base is may change as folders move; what it is has digests of its own.
    settings = {name: value for name, value in read_object(path).items() if name != BASE_OF_ADAPTER}
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
