"""Print the memory that training a model needs on each device, computed, with how it is computed.

python -m train.memory --recipe qwen2.5-math-7b --devices 8
python -m train.memory --recipe qwen2.5-math-7b --tokens-per-microbatch 4096 --lora-rank 64
python -m train.memory --model FOLDER_OR_HUB_ID --tokens-per-microbatch 8192 --max-tokens 2048
"""

import sys
from dataclasses import dataclass, fields, replace
from typing import Literal

from objectives.errors import command_line
from objectives.text_table import aligned
from train.config.flags import Parser, add_flags, check, flag, from_flags
from train.config.offload import require_checkpointing
from train.config.optimizers import optimizer_kind
from train.config.quantisation import Quantisation, require_adapter
from train.config.recipe import add_recipe_flag, ready_config, recipe_of
from train.config.settings import Config
from train.memory.footprint import (
    MOMENTS,
    TRAINING,
    MemoryPlan,
    Moment,
    Part,
    at,
    parts,
    peak,
)
from train.memory.shape import Shape, shape_of
from train.models.load import locate
from train.models.pretrained import read_config

DEFAULT_CONTEXT = 4096  # where a model states none
COUNTS = (1, 2, 4, 8)  # devices
COPIES, SHARDED = "each with a copy (DDP)", "sharded (FSDP2)"
RANK = 16  # of LoRA where none is given
WORDS: dict[Moment, str] = {
    "forward": "at the end of the forward pass",
    "head": "in the log-prob kernel",
    "layers": "in the backward pass of a layer",
    "end": "at the end of the backward pass",
    "evaluation": "while completions are sampled",
}


@dataclass(frozen=True)
class Settings:
    """Of `python -m train`, what decides about memory; and how many devices."""

    model: str = flag(Config.model, "as of python -m train; its weights are not read", "MODEL")
    devices: int = flag(
        1,
        "the devices of the first table; several share all weights (FSDP2), unless they are "
        "quantised",
        above=0,
    )
    max_tokens: int | None = flag(
        None, "tokens of a trajectory, by default the model's context", "TOKENS", above=0
    )
    tokens_per_microbatch: int = flag(
        8192, "tokens of one device at a time, padding included", "TOKENS", above=0
    )
    gradient_checkpointing: bool = flag(False, "activations are computed again")
    activation_offload: bool = flag(False, "with that: the layers' inputs are on the host")
    dtype: Literal["float32", "bfloat16"] = flag("bfloat16", "of the passes")
    reference_cache: Literal["off", "on"] = flag(
        "off",
        "on: the reference's states are on disk and its head alone in memory, as in the last run "
        "of a command that reads its data twice",
    )
    lora_rank: int | None = flag(
        None, "of an adapter that is trained in place of the weights", above=0
    )
    quantise: Quantisation | None = flag(None, "the weights under the adapter, in so many bits")
    optimizer: str = flag(Config.optimizer, "as of python -m train", "NAME")
    eval_batch_size: int = flag(0, "completions at a time in evaluation; 0: none", least=0)

    def __post_init__(self):
        check(self)
        optimizer_kind(self.optimizer)
        require_checkpointing(self.activation_offload, self.gradient_checkpointing)
        require_adapter(self.quantise, self.lora_rank)


def main() -> None:
    words = sys.argv[1:]
    parser = Parser(
        "train.memory", "Print the memory that training needs on each device, computed."
    )
    add_recipe_flag(parser)
    add_flags(parser, Settings)
    known = {entry.name for entry in fields(Settings)}
    parser.set_defaults(**{n: v for n, v in recipe_of(words).items() if n in known})
    settings = from_flags(Settings, parser.parse_args(words))
    shape, context = _shape(settings.model)
    length = min(settings.max_tokens or context, context, settings.tokens_per_microbatch)
    plan = MemoryPlan(
        tokens=settings.tokens_per_microbatch,
        length=length,
        half=settings.dtype == "bfloat16",
        checkpointing=settings.gradient_checkpointing,
        offload=settings.activation_offload,
        reference="head" if settings.reference_cache == "on" else "model",
        lora_rank=settings.lora_rank,
        quantise=settings.quantise,
        optimizer=settings.optimizer,
        devices=settings.devices,
        sharded=settings.devices > 1 and settings.quantise is None,
        sampled=settings.eval_batch_size,
    )
    print(
        f"{settings.model}: {shape.parameters:,} parameters; {plan.tokens} tokens at a time in "
        f"{settings.dtype}, trajectories of {length}"
    )
    print(
        "", _table_of_parts(parts(shape, plan), plan), "", _table_of_devices(shape, plan), sep="\n"
    )


def _shape(name: str) -> tuple[Shape, int]:
    """Return a model's sizes and its context, from its configuration alone."""
    ready = ready_config(name)
    source, options = locate(name) if ready is None else (str(ready), {})
    config = read_config(name, source, **options)
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    return shape_of(config), context or DEFAULT_CONTEXT


def _table_of_parts(found: list[Part], plan: MemoryPlan) -> str:
    how = "sharded" if plan.sharded else "each with a copy"
    where = "on the device" if plan.devices == 1 else f"on each of {plan.devices} devices, {how}"
    named: list[Moment] = [name for name in MOMENTS if name in TRAINING or plan.sampled]
    rows = [
        (where, "GiB", "how, in bytes"),
        *((part.name, _gib(part.bytes), _how(part)) for part in found),
        *((f"{WORDS[name]}, together", _gib(at(found, name)), "") for name in named),
    ]
    table = aligned([row[:2] for row in rows], numbers=True).splitlines()
    return "\n".join(f"{line}  {row[2]}".rstrip() for line, row in zip(table, rows, strict=True))


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f}"


def _how(part: Part) -> str:
    if part.moments in (MOMENTS, ()):
        return part.how
    return f"{part.how} [{', '.join(part.moments)}]"


def _table_of_devices(shape: Shape, plan: MemoryPlan) -> str:
    lora = plan.lora_rank or RANK
    whole = replace(plan, sharded=False, lora_rank=None, quantise=None)
    adapter = replace(whole, lora_rank=lora)
    quantised = replace(adapter, quantise=plan.quantise or "4bit")
    kinds = {
        COPIES: whole,
        SHARDED: whole,
        f"LoRA of rank {lora}, {COPIES}": adapter,
        f"LoRA of rank {lora}, {SHARDED}": adapter,
        f"LoRA of rank {lora} on {quantised.quantise}, {COPIES}": quantised,
    }
    rows: list[tuple[str, ...]] = [
        ("GiB on each device, at the peak of training", *map(str, COUNTS))
    ]
    for name, kind in kinds.items():
        peaks = []
        for count in COUNTS:
            sharded = name.endswith(SHARDED) and count > 1
            found = parts(shape, replace(kind, devices=count, sharded=sharded))
            peaks.append(f"{peak(found) / 2**30:.1f}")
        rows.append((name, *peaks))
    return aligned(rows, numbers=True)


if __name__ == "__main__":
    command_line(main)
