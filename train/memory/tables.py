"""The memory of a training as text: on one device, part by part, and on several."""

from dataclasses import replace

from objectives.text_table import aligned
from train.config.recipe import ready_config
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
from train.memory.settings import Settings
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


def tables(settings: Settings) -> str:
    """Return what training as the settings say takes, in GiB; raises InputError for no model."""
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
    head = (
        f"{settings.model}: {shape.parameters:,} parameters; {plan.tokens} tokens at a time in "
        f"{settings.dtype}, trajectories of {length}"
    )
    both = _table_of_parts(parts(shape, plan), plan), _table_of_devices(shape, plan)
    return "\n\n".join([head, *both])


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
