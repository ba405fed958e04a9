"""In how many bits the frozen weights under an adapter are kept, and when they can be."""

from importlib.util import find_spec
from typing import Literal

from objectives.errors import InputError

Quantisation = Literal["4bit", "8bit"]


def check_quantisation(bits: Quantisation | None, lora_rank: int | None) -> None:
    """Raise InputError for quantised weights without an adapter, or without bitsandbytes."""
    require_adapter(bits, lora_rank)
    if bits is not None and find_spec("bitsandbytes") is None:
        raise InputError(
            f"--quantise {bits}: it needs bitsandbytes, which is not installed: "
            f"pip install bitsandbytes"
        )


def require_adapter(bits: Quantisation | None, lora_rank: int | None) -> None:
    """Raise InputError for quantised weights on which there is no adapter to train."""
    if bits is not None and lora_rank is None:
        raise InputError(
            f"--quantise {bits}: quantised weights cannot be trained: give --lora-rank, for an "
            f"adapter on them"
        )
