"""Which device, and in which dtype the passes compute."""

import os
from contextlib import nullcontext

import torch

from objectives.errors import InputError


def forward_precision(device: str, half: bool) -> torch.autocast | nullcontext:
    """Return the context of forward passes that gives them their dtype."""
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # the head's float32 products in TF32
    return torch.autocast(device, dtype=torch.bfloat16) if half else nullcontext()


def choose_device(device: str, dtype: str) -> tuple[str, bool]:
    """Return cuda or cpu, and whether to compute in bfloat16, as the flags say.

    device, dtype: as load_for_sampling has them; what `accelerate launch --mixed_precision` says
    is `auto`'s too. Raises InputError for cuda where there is none.
    """
    cuda = torch.cuda.is_available() and device != "cpu"
    if device == "cuda" and not cuda:
        raise InputError("--device cuda: torch finds none on this machine; try --device cpu")
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched not in ("no", "bf16"):
        raise InputError(f"accelerate launch --mixed_precision {launched}: give bf16 or no")
    half = dtype == "bfloat16" or (dtype == "auto" and (cuda or launched == "bf16"))
    return "cuda" if cuda else "cpu", half
