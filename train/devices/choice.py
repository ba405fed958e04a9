"""Which device, and in which dtype the passes compute."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from objectives.errors import InputError


@dataclass(frozen=True)
class Precision:
    """In which dtype a model's forward passes compute; its weights keep their own."""

    device: str
    dtype: torch.dtype | None = None  # None: that of the weights

    def context(self, cached: bool = False) -> AbstractContextManager:
        """Return a new context of forward passes.

        cached: keep what weights are cast to from pass to pass, as generation wants it. Training
        reads each weight once a pass: keeping the casts costs memory and saves nothing.
        """
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device, dtype=self.dtype, cache_enabled=cached)


PLAIN = Precision("cpu")  # of models that compute as their weights are


def forward_precision(device: str, half: bool) -> Precision:
    """Return the precision of forward passes on a device; half: in bfloat16."""
    return Precision(device, torch.bfloat16 if half else None)


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
