"""The memory that training a model needs on each device, computed from its sizes.

What the harness keeps is added up in bytes. Weights, gradients and what torch's optimizers keep are
float32; with bfloat16 the passes compute on copies of the linear maps' weights. Where an adapter is
trained in bfloat16, the frozen weights are bfloat16 themselves, or the linear maps' quantised. The
log-prob kernel multiplies heads of bfloat16 as they are, as a GPU can; of one in float32 its
backward pass makes a copy in bfloat16. The formula of activations is that of decoders like
Llama and Qwen2, with scaled-dot-product attention and a gated feed-forward of RMS norms.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from objectives.kernel import CHUNK_ELEMENTS, CHUNK_POSITIONS
from train.config.optimizers import optimizer_kind
from train.config.quantisation import Quantisation
from train.memory.shape import Shape

FLOAT, HALF = 4, 2  # bytes of a number
CHUNKS = 3  # at a time: a chunk's logits, another model's, and exponentials of one

# When in a run: after the policy's forward pass, in the log-prob kernel, in the backward pass of a
# layer, at its end, and while completions are sampled.
Moment = Literal["forward", "head", "layers", "end", "evaluation"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
TRAINING = MOMENTS[:-1]


class Part(NamedTuple):
    """Something that takes memory on a device, and when."""

    name: str
    bytes: int
    how: str
    moments: tuple[Moment, ...] = MOMENTS


@dataclass(frozen=True)
class MemoryPlan:
    """How a model is trained, as far as its memory goes."""

    tokens: int  # of a micro-batch on one device, padding included
    length: int  # of a trajectory
    half: bool = True  # the passes in bfloat16
    checkpointing: bool = True
    offload: bool = False  # layers' inputs in the host's memory
    # The frozen model itself, or its head alone, with its hidden states on disk.
    reference: Literal["model", "head"] = "model"
    lora_rank: int | None = None  # of an adapter of every linear map of the layers
    quantise: Quantisation | None = None  # these maps' weights under an adapter
    optimizer: str = "adamw"  # of --optimizer
    devices: int = 1
    sharded: bool = False  # FSDP2; else each device has a copy of everything
    sampled: int = 0  # completions at a time in evaluation


def parts(shape: Shape, plan: MemoryPlan) -> list[Part]:
    """Return what a device holds, in the order in which it comes to be."""
    found = [*_lasting(shape, plan), *_activations(shape, plan), *_kernel(shape, plan)]
    if plan.sharded:
        found += _gathered(shape, plan)
    if plan.sampled:
        found.append(_sampled(shape, plan))
    return [part for part in found if part.bytes]


def at(found: list[Part], moment: Moment) -> int:
    """Return the bytes that are there at a moment."""
    return sum(part.bytes for part in found if moment in part.moments)


def peak(found: list[Part]) -> int:
    """Return the bytes at the moment of training at which most are there."""
    return max(at(found, moment) for moment in TRAINING)


def layer_activations(shape: Shape, plan: MemoryPlan) -> int:
    """Return the bytes that autograd saves in a layer's forward pass for each token.

    Two norms save their float32 input, a factor, and the input normalised where they are trained;
    attention its query and what comes out for every head, key and value as often as they are
    there, and a normaliser a head; the gated feed-forward its gate before and after the
    activation, the other branch and the product. Linear maps save their inputs: in float32 those
    behind the norms, shared; in bfloat16 each of the five maps there casts its own. Frozen maps
    save none; adapters save their own casts, and what is between their two maps.
    """
    number, width = (HALF if plan.half else FLOAT), FLOAT * shape.hidden
    frozen = plan.lora_rank is not None
    norms = 2 * (width * (1 if frozen else 2) + FLOAT)
    attention = number * 2 * (shape.query + shape.key) + FLOAT * shape.heads
    if not plan.half:
        inputs, branches = 2 * width, 4
    elif frozen:
        inputs, branches = HALF * shape.inputs, 3
    else:
        inputs, branches = 5 * HALF * shape.hidden, 4
    between = number * shape.maps * (plan.lora_rank or 0)
    return norms + attention + inputs + number * branches * shape.inner + between


def _width(plan: MemoryPlan) -> int:
    """Return the bytes of a weight of the model, and of what goes from layer to layer."""
    return HALF if plan.half and plan.lora_rank else FLOAT


def _trained(shape: Shape, plan: MemoryPlan) -> int:
    if plan.lora_rank:
        return shape.layers * shape.sides * plan.lora_rank
    return shape.parameters


def _of_optimizer(shape: Shape, plan: MemoryPlan) -> list[tuple[str, int, int]]:
    """Return what an optimizer keeps: its name, bytes of a number, and numbers."""
    kind, trained = optimizer_kind(plan.optimizer), _trained(shape, plan)
    if kind.name == "Adafactor":  # rows and columns of matrices, all of vectors
        numbers = shape.layers * (shape.sides + shape.layer - shape.linear) + shape.hidden
        numbers += (1 if shape.tied else 2) * (shape.vocabulary + shape.hidden)
        if plan.lora_rank:
            numbers = shape.layers * (shape.sides + 2 * plan.lora_rank * shape.maps)
        return [("Adafactor's rows and columns", FLOAT, numbers)]
    size = kind.moments * kind.bits // 8
    scales = kind.moments * trained // 256 if kind.bits == 8 else 0
    return [(f"{kind.name}'s moments", size, trained), ("scales of 8-bit moments", FLOAT, scales)]


def _lasting(shape: Shape, plan: MemoryPlan) -> list[Part]:
    count = plan.devices if plan.sharded else 1
    share = f" / {count} devices" if count > 1 else ""
    trained = _trained(shape, plan)
    number = _width(plan)

    def held(name: str, size: int, numbers: int, moments=MOMENTS) -> Part:
        return Part(name, size * numbers // count, f"{size} x {numbers:,}{share}", moments)

    quantised = shape.layers * shape.linear if plan.quantise else 0
    found = [
        held("weights", number, shape.parameters - quantised),
        *(Part(*part) for part in _quantised(shape, plan)),
        held("adapter's weights", FLOAT, trained if plan.lora_rank else 0),
        held("gradients", FLOAT, trained, TRAINING),
        *(held(*part) for part in _of_optimizer(shape, plan)),
    ]
    if plan.reference == "model" and not plan.lora_rank:
        found.append(held("reference", FLOAT, shape.parameters))
    if plan.reference == "head":
        how = f"{number} x {shape.embedding:,}"
        found.append(Part("reference's head", number * shape.embedding, how))
    return found


def _quantised(shape: Shape, plan: MemoryPlan) -> list[tuple[str, int, str]]:
    """Return what is kept of quantised weights, as `Part` has it.

    Of 4 bits 64 share a scale of a byte, and 256 scales a number; of 8 bits a row shares a number.
    """
    linear = shape.layers * shape.linear
    if plan.quantise == "8bit":
        rows = shape.layers * (shape.sides - shape.inputs)
        return [("quantised weights", linear, f"1 x {linear:,}"),
                ("their scales", FLOAT * rows, f"4 x {rows:,} rows")]  # fmt: skip
    if plan.quantise == "4bit":
        scales = linear // 64
        how = f"1/64 x {linear:,}, and 4 for 256 of these"
        return [("quantised weights", linear // 2, f"1/2 x {linear:,}"),
                ("their scales", scales + FLOAT * scales // 256, how)]  # fmt: skip
    return []


def _activations(shape: Shape, plan: MemoryPlan) -> list[Part]:
    saved = layer_activations(shape, plan)
    stream = _width(plan) * shape.hidden  # what goes from layer to layer, of a token
    each = stream if plan.checkpointing else saved
    last = FLOAT * shape.hidden * (1 if plan.lora_rank else 2)
    layers = 1 if plan.offload else shape.layers  # whose activations are on the device
    kept = plan.tokens * (layers * each + last)
    inside = (HALF if plan.half else FLOAT) * 3 * shape.inner + 2 * stream
    whole = plan.quantise is not None or (plan.half and not plan.lora_rank)
    cast = (HALF if plan.half else FLOAT) * shape.largest if whole else 0
    weight = cast if plan.lora_rank else FLOAT * shape.largest + cast
    tokens = f"{plan.tokens} tokens x"
    found = [
        Part("activations", kept, f"{tokens} ({layers} layers x {each:,} + {last:,})",
             ("forward", "head", "layers")),
        Part("a layer computing", plan.tokens * inside + cast,
             f"{tokens} {inside:,}, and a weight in {_dtype(plan)}", ("forward",)),
        Part("gradients inside a layer", plan.tokens * inside + weight,
             f"{tokens} {inside:,}, and a weight's", ("layers",)),
    ]  # fmt: skip
    if plan.offload:
        how = f"{tokens} {shape.layers} layers x {each:,}"
        found.append(Part("activations, on the host", plan.tokens * shape.layers * each, how, ()))
    if plan.checkpointing:
        found.append(Part("a layer's activations again", plan.tokens * saved,
                          f"{tokens} {saved:,}", ("layers",)))  # fmt: skip
    return [*found, *_casts(shape, plan)]


def _casts(shape: Shape, plan: MemoryPlan) -> list[Part]:
    """Return the bfloat16 copies of weights, which autograd keeps for the backward pass."""
    if not plan.half or plan.lora_rank:
        return []
    layer = HALF * shape.linear
    if plan.checkpointing:
        return [Part("a layer's weights in bfloat16", layer, f"2 x {shape.linear:,}", ("layers",))]
    how = f"{shape.layers} layers x 2 x {shape.linear:,}"
    return [Part("weights in bfloat16", shape.layers * layer, how, ("forward", "head", "layers"))]


def _dtype(plan: MemoryPlan) -> str:
    return "bfloat16" if plan.half else "float32"


def _kernel(shape: Shape, plan: MemoryPlan) -> list[Part]:
    cached = plan.half and plan.reference == "head"
    token = _width(plan) * shape.hidden
    states = plan.tokens * token
    others = plan.tokens * shape.hidden * (HALF if cached else _width(plan))
    most = max(CHUNK_POSITIONS, CHUNK_ELEMENTS // shape.vocabulary)
    chunk = FLOAT * shape.vocabulary * min(plan.tokens, most)
    found = [
        Part("hidden states", states + others,
             f"{plan.tokens} tokens x {(states + others) // plan.tokens:,}, policy and reference",
             ("head",)),
        Part("chunks of logits", CHUNKS * chunk, f"{CHUNKS} x {chunk:,}", ("head",)),
        Part("hidden states' gradient", states, f"{plan.tokens} tokens x {token:,}", ("head",)),
    ]  # fmt: skip
    if plan.half and not plan.lora_rank:
        how = f"policy's, in the backward pass: 2 x {shape.embedding:,}"
        found.append(Part("head in bfloat16", HALF * shape.embedding, how, ("head",)))
    # In one piece they are added to what is there, but for a tied embedding's first of a step.
    if not plan.lora_rank and (shape.tied or plan.sharded):
        gradient, how = FLOAT * shape.embedding, f"4 x {shape.embedding:,}"
        found.append(Part("embedding's gradient", gradient, how, ("end",)))
        if plan.sharded:
            found.append(Part("head's gradient", gradient, how, ("head", "layers", "end")))
    return found


def _gathered(shape: Shape, plan: MemoryPlan) -> list[Part]:
    models = 2 if plan.reference == "model" and not plan.lora_rank else 1
    size = _width(plan)
    root, layer = size * shape.root, size * shape.layer
    found = [
        Part("gathered embeddings and heads", models * root,
             f"{models} models x {size} x {shape.root:,}", TRAINING),
        Part("gathered layers", 2 * layer, f"two: 2 x {size} x {shape.layer:,}",
             ("forward", "layers")),
        Part("the model gathered to sample", size * shape.parameters,
             f"{size} x {shape.parameters:,}", ("evaluation",)),
    ]  # fmt: skip
    if not plan.lora_rank:
        found += [
            Part("layers' gradients not yet added up", 2 * layer,
                 f"two: 2 x 4 x {shape.layer:,}", ("layers",)),
            Part("the others' gradients, likewise", root, f"4 x {shape.root:,}", ("end",)),
        ]  # fmt: skip
    return found


def _sampled(shape: Shape, plan: MemoryPlan) -> Part:
    # Keys leave their rotation in float32; a growing cache is half empty at worst.
    token = shape.layers * shape.key * (FLOAT + (HALF if plan.half else FLOAT))
    size = plan.sampled * plan.length * token * 3 // 2
    how = f"{plan.sampled} completions x {plan.length} tokens x {token:,}, and half for growth"
    return Part("keys and values", size, how, ("evaluation",))
