"""Weights of a GGUF file that transformers leaves out or misshapes, without a word."""

import re
import struct
from pathlib import Path
from typing import BinaryIO

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # by type of value
TEXT, ARRAY = 8, 9  # the other types
ELSEWHERE = re.compile(r"^rope_|_exps\.")  # made from the configuration; experts, put together


def left_out(path: Path, model: PreTrainedModel) -> set[str]:
    """Return the weights of a GGUF file that were not loaded into a model of it."""
    architecture, names = names_in(path)
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config={})
    known = get_gguf_hf_weights_map(model, processor)
    return {name for name in names if name not in known and not ELSEWHERE.search(name)}


def misshapen(model: PreTrainedModel) -> set[tuple[str, torch.Size, torch.Size]]:
    """Return the weights that have not the shape which the model's settings ask for, with both.

    Up to transformers 5.17 those of a GGUF file are put in as they are.
    """
    with torch.device("meta"):
        wanted = AutoModelForCausalLM.from_config(model.config).state_dict()
    shapes = {name: (own.shape, wanted[name].shape) for name, own in model.state_dict().items()}
    return {(name, *both) for name, both in shapes.items() if both[0] != both[1]}


def names_in(path: Path) -> tuple[str, list[str]]:
    """Return the architecture that a GGUF file names, and the names of its tensors.

    From its header alone; gguf's own reader takes seconds for a vocabulary.
    """
    architecture, names = "", []
    with path.open("rb") as file:
        _, _, tensors, values = struct.unpack("<4sIQQ", file.read(24))
        for _ in range(values):
            name, kind = _text(file), _number(file, "I")
            if name == "general.architecture" and kind == TEXT:
                architecture = _text(file)
            else:
                _skip(file, kind)
        for _ in range(tensors):
            names.append(_text(file))
            file.seek(8 * _number(file, "I") + 12, 1)  # its shape, its type and its place
    return architecture, names


def _number(file: BinaryIO, kind: str) -> int:
    return struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0]


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "Q")).decode(errors="replace")


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == TEXT:
        file.seek(_number(file, "Q"), 1)
    elif kind == ARRAY:
        of, count = _number(file, "I"), _number(file, "Q")
        if of in SIZES:
            file.seek(count * SIZES[of], 1)
        else:
            for _ in range(count):
                _skip(file, of)
    else:
        file.seek(SIZES[kind], 1)
