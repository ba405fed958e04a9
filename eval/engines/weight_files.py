"""Weights as safetensors files in a folder, for a process that reads them."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

SHARD = 2**31  # bytes of a file, about: what is held in memory at once


def write_weights(
    folder: Path, weights: Iterable[tuple[str, Tensor]], dtype: torch.dtype | None = None
) -> None:
    """Write weights to files `model-0.safetensors` and so on, in the place of those before.

    dtype: that the floating-point ones are written in; by default their own.
    """
    shard: dict[str, Tensor] = {}
    number = size = 0
    for name, values in weights:
        kept = dtype if values.is_floating_point() else None
        shard[name] = values.detach().to("cpu", kept, copy=True).contiguous()
        size += shard[name].nbytes
        if size >= SHARD:
            _write(folder, number, shard)
            shard, size, number = {}, 0, number + 1
    _write(folder, number, shard)
    for path in folder.glob("model-*.safetensors"):
        if int(path.stem.removeprefix("model-")) > number:
            path.unlink()


def _write(folder: Path, number: int, shard: dict[str, Tensor]) -> None:
    save_file(shard, folder / f"model-{number}.safetensors", metadata={"format": "pt"})
