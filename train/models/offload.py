"""What the backward pass needs of the forward pass, kept in the host's memory between the two."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from train.models.language_model import LanguageModel

LEAST = 2**20  # bytes of what is worth moving


def offload_activations(policy: LanguageModel) -> LanguageModel:
    """Return a model whose backbone moves what it saves for the backward pass, and back for it.

    Where layers are computed again that is each layer's input. It moves to pinned memory, in order
    with what the device computes and with the same strides, so that no bit of a gradient changes.
    """
    backbone = policy.backbone

    def offloaded(**inputs: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
            return backbone(**inputs)

    return replace(policy, backbone=offloaded)


def _pack(tensor: Tensor) -> tuple[torch.device, Tensor]:
    if tensor.nbytes < LEAST:
        return tensor.device, tensor
    pinned = tensor.device.type == "cuda"
    kept = torch.empty_like(tensor, device="cpu", pin_memory=pinned)
    return tensor.device, kept.copy_(tensor, non_blocking=True)


def _unpack(packed: tuple[torch.device, Tensor]) -> Tensor:
    device, kept = packed
    return kept.to(device, non_blocking=True)
