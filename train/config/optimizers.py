"""The optimizers that a run can take: torch's, and bitsandbytes' where it is installed."""

from importlib.util import find_spec
from typing import NamedTuple

from objectives.errors import InputError
from objectives.spelling import did_you_mean


class OptimizerKind(NamedTuple):
    """An optimizer by its class, and what it keeps."""

    library: str  # torch or bitsandbytes
    name: str  # of the class in the library's `optim`
    moments: int  # numbers that it keeps for each parameter's; of adafactor only rows and columns
    bits: int = 32  # of such a number; of 8, blocks of 256 share a scale
    decays: bool = True  # it takes a weight decay


def _of_torch() -> dict[str, OptimizerKind]:
    moments = {
        "AdamW": 2, "Adam": 2, "Adafactor": 0, "Adadelta": 2, "Adagrad": 1, "Adamax": 2, "ASGD": 1,
        "NAdam": 2, "RAdam": 2, "RMSprop": 1, "Rprop": 2, "SGD": 0,
    }  # fmt: skip
    return {
        name.lower(): OptimizerKind("torch", name, count, decays=name != "Rprop")
        for name, count in moments.items()
    }


def _of_bitsandbytes() -> dict[str, OptimizerKind]:
    found = {}
    for name, count in {"Adam": 2, "AdamW": 2, "Lion": 1}.items():
        for bits in (8, 32):
            for paged in ("", "Paged"):
                key = f"{'paged_' if paged else ''}{name.lower()}{bits}bit"
                own = f"{paged}{name}{bits}bit"
                found[key] = OptimizerKind("bitsandbytes", own, count, bits)
    return found


OPTIMIZERS = {**_of_torch(), **_of_bitsandbytes()}
SHARDED = ("adamw", "adam")  # those that step on parts of parameters


def optimizer_kind(name: str) -> OptimizerKind:
    """Return the optimizer that --optimizer names.

    Raises InputError for a name that is none, with the near ones.
    """
    if name not in OPTIMIZERS:
        near = did_you_mean(name.lower(), OPTIMIZERS)
        raise InputError(f"--optimizer {name}: there are {', '.join(OPTIMIZERS)}{near}")
    return OPTIMIZERS[name]


def check_optimizer(name: str, weight_decay: float) -> None:
    """Raise InputError for an optimizer that is none, is not installed or takes no such decay."""
    kind = optimizer_kind(name)
    if kind.library != "torch" and find_spec(kind.library) is None:
        raise InputError(
            f"--optimizer {name}: it is bitsandbytes', which is not installed: "
            "pip install bitsandbytes"
        )
    if weight_decay and not kind.decays:
        raise InputError(f"--weight-decay {weight_decay:g}: --optimizer {name} has none")
