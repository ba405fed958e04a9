"""Computed memory is that of the tensors there are; saved activations are what autograd saves."""

import json
import weakref
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig

from eval.decoding.growing_cache import growing_cache
from eval.decoding.in_step import cache_argument
from objectives import Head, products
from objectives.kernel import token_log_probs
from tests.helpers.paper_models import NAMES, tiny_config, tiny_model, write_tiny_model
from tests.helpers.started_runs import first_micro_batch, started
from train.config.recipe import READY
from train.config.settings import Config
from train.memory.__main__ import main
from train.memory.footprint import MOMENTS, MemoryPlan, at, layer_activations, parts, peak
from train.memory.shape import shape_of
from train.models.language_model import open_model, recompute_layers
from train.run.setup import set_up

PUBLISHED = {  # parameters as on the models' pages
    "qwen2.5-math-7b": 7_615_616_512,
    "deepseek-math-7b": 6_910_365_696,
    "llama-3.2-3b-instruct": 3_212_749_824,
}
ROWS, LENGTH = 4, 32
PLAN = MemoryPlan(tokens=ROWS * LENGTH, length=LENGTH, half=False, checkpointing=False)


def part(found, name):
    """Return the bytes of the part of a name."""
    (one,) = [entry for entry in found if entry.name == name]
    return one.bytes


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_configurations_have_the_published_sizes(name):
    shape = shape_of(AutoConfig.from_pretrained(READY / f"{name}.json"))
    assert shape.parameters == PUBLISHED[name]
    assert shape.tied == (name == "llama-3.2-3b-instruct")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cache", ["off", "states"])
def test_what_lasts_is_what_the_harness_holds(name, cache, tmp_path):
    folder = write_tiny_model(name, tmp_path / "model")
    rows = [{"prompt": "1+1", "completion": f"={n}", "reward": 1 - 2 * (n % 2)} for n in range(8)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    place = "off" if cache == "off" else str(tmp_path / "states")
    config = Config(model=str(folder), data=str(data), steps=1, batch_size=8,
                    reference_cache=place, eval_problems="none")  # fmt: skip
    run = started(set_up(config), "fpa", tmp_path / "run", last=True)
    run.updater.gradients.of(run.data.draw(1, run.policies.policy), run.updater.lam)
    policy = list(run.policies.policy.model.parameters())
    gradients = sum(p.grad.nbytes for p in policy)
    run.updater.optimizer.step()
    moments = [
        s[key] for s in run.updater.optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")
    ]

    reference = "model" if cache == "off" else "head"
    found = parts(shape_of(tiny_config(name)), replace(PLAN, reference=reference))
    assert part(found, "weights") == sum(p.nbytes for p in policy)
    assert part(found, "gradients") == gradients
    assert part(found, "AdamW's moments") == sum(m.nbytes for m in moments)
    if cache == "off":
        held = list(run.policies.reference.model.parameters())
        assert not {p.data_ptr() for p in held} & {p.data_ptr() for p in policy}
        assert part(found, "reference") == sum(p.nbytes for p in held)
    else:
        assert run.policies.reference is None
        assert part(found, "reference's head") == run.policies.states.head.weight.nbytes


def saved_bytes(model, half):
    """Return what autograd saves of a forward pass beside parameters, each storage once."""
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    seen, shapes = {}, {tuple(p.shape) for p in model.parameters() if p.dim() == 2}

    def keep(tensor):
        storage = tensor.untyped_storage()
        copy_of_weight = tensor.dtype == torch.bfloat16 and (
            {tuple(tensor.shape), tuple(tensor.T.shape)} & shapes if tensor.dim() == 2 else False
        )
        if storage.data_ptr() not in own and not copy_of_weight:
            seen[storage.data_ptr()] = storage
        return tensor

    ids = torch.randint(10, 90, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        output = model.base_model(input_ids=ids, use_cache=False)
    return sum(storage.nbytes() for storage in seen.values()), output


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_a_layer_s_activations_are_what_autograd_saves(name, half):
    plan = replace(PLAN, half=half)
    sizes = [saved_bytes(tiny_model(name, num_hidden_layers=n), half)[0] for n in (1, 2, 3)]
    computed = plan.tokens * layer_activations(shape_of(tiny_config(name)), plan)
    assert [b - a for a, b in pairwise(sizes)] == [computed, computed]
    few = plan.tokens * 8 + plan.tokens * 4 + 2 * LENGTH * 8 * 4  # ids, last norm's factor, angles
    found = parts(shape_of(tiny_config(name, num_hidden_layers=3)), plan)
    assert sizes[-1] - few == part(found, "activations")


@pytest.mark.parametrize("name", NAMES)
def test_checkpointing_keeps_the_layers_inputs(name):
    sizes = []
    for layers in (1, 3):
        model = tiny_model(name, num_hidden_layers=layers)
        recompute_layers(open_model(model))
        sizes.append(saved_bytes(model, half=True)[0])
    plan = replace(PLAN, half=True, checkpointing=True)
    computed = [part(parts(shape_of(tiny_config(name, num_hidden_layers=n)), plan), "activations")
                for n in (1, 3)]  # fmt: skip
    assert sizes[1] - sizes[0] == computed[1] - computed[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_bfloat16_copies_are_of_the_layers_linear_maps(name):
    model, shape = tiny_model(name), shape_of(tiny_config(name))
    linear = [m.weight for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    casts = sum(weight.to(torch.bfloat16).nbytes for weight in linear)
    whole = parts(shape, replace(PLAN, half=True))
    assert part(whole, "weights in bfloat16") == casts
    again = parts(shape, replace(PLAN, half=True, checkpointing=True))
    assert part(again, "a layer's weights in bfloat16") == casts / shape.layers


class CastsOfWeights(TorchDispatchMode):
    """Counts the bytes of bfloat16 copies of weights that are still there."""

    def __init__(self, weights):
        super().__init__()
        self.shapes, self.made = {tuple(w.shape) for w in weights}, []

    def __torch_dispatch__(self, function, kinds, arguments=(), options=None):
        out = function(*arguments, **(options or {}))
        cast = function.overloadpacket is torch.ops.aten._to_copy and out.dtype == torch.bfloat16
        if cast and tuple(out.shape) in self.shapes:
            self.made.append(weakref.ref(out))
        return out

    def held(self):
        return sum(x.nbytes for x in (made() for made in self.made) if x is not None)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_bfloat16_copies_that_a_step_keeps(checkpointing, tmp_path):
    config = Config(steps=1, batch_size=8, dtype="bfloat16", reference_cache="off",
                    gradient_checkpointing=checkpointing, eval_problems="none")  # fmt: skip
    run = started(set_up(config), "fpa", tmp_path / "run")
    model, held = run.policies.policy.model, []
    linear = [m.weight for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    micro = first_micro_batch(run)
    with CastsOfWeights(linear) as casts:
        then = run.policies._reference_parts
        run.policies._reference_parts = lambda *a: held.append(casts.held()) or then(*a)
        run.policies.evaluate(micro, run.updater.lam)
    plan = replace(PLAN, half=True, checkpointing=checkpointing)
    found = [
        entry
        for entry in parts(shape_of(model.config), plan)
        if "weights in bfloat16" in entry.name
    ]
    assert held == [at(found, "head")]
    assert len(casts.made) == 2 * len(linear)  # the policy's and the reference's


@pytest.mark.parametrize("vocabulary", [1_000, 300_000])
def test_chunks_and_gradients_of_the_kernel(vocabulary, monkeypatch):
    logits = []
    whole = Head.logits
    monkeypatch.setattr(Head, "logits", lambda *a: logits.append(whole(*a)) or logits[-1])
    hidden = torch.randn(150, 8, requires_grad=True)
    weight = torch.randn(vocabulary, 8, requires_grad=True)
    out = token_log_probs(hidden, Head(weight), torch.arange(150), entropy=True)
    out.policy.sum().backward()
    shape = shape_of(tiny_config("deepseek-math-7b", vocab_size=vocabulary, hidden_size=8,
                                 num_attention_heads=1, num_key_value_heads=1))  # fmt: skip
    found = parts(shape, replace(PLAN, tokens=150))
    assert part(found, "chunks of logits") == 3 * max(chunk.nbytes for chunk in logits)
    sharded = parts(shape, replace(PLAN, tokens=150, sharded=True))
    assert part(sharded, "head's gradient") == weight.grad.nbytes
    assert part(found, "hidden states' gradient") == hidden.grad.nbytes


@pytest.mark.parametrize("rank", [None, 4])
def test_a_head_is_copied_in_bfloat16_where_it_is_trained(rank, monkeypatch):
    monkeypatch.setattr(products, "has_bfloat16", lambda device: True)
    dtype = torch.bfloat16 if rank else torch.float32
    hidden = torch.randn(150, 8, dtype=dtype, requires_grad=True)
    weight = torch.randn(1_000, 8, dtype=dtype, requires_grad=rank is None)
    with CastsOfWeights([weight]) as casts:
        token_log_probs(hidden, Head(weight, half=True), torch.arange(150)).policy.sum().backward()
    shape = shape_of(tiny_config("deepseek-math-7b", vocab_size=1_000, hidden_size=8,
                                 num_attention_heads=1, num_key_value_heads=1))  # fmt: skip
    found = parts(shape, replace(PLAN, half=True, lora_rank=rank))
    sizes = [entry.bytes for entry in found if entry.name == "head in bfloat16"]
    assert len(casts.made) == len(sizes) == (0 if rank else 1)
    assert sizes == [2 * weight.numel()] * len(sizes)


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_values_of_sampling(name):
    model = tiny_model(name)
    cache = growing_cache(model.config)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        ids = torch.full((3, LENGTH), 20)
        model(input_ids=ids, use_cache=True, **{cache_argument(model): cache})
    held = sum(x.nbytes for layer in cache.layers for x in (layer.keys, layer.values))
    plan = replace(PLAN, half=True, sampled=3)
    assert part(parts(shape_of(model.config), plan), "keys and values") == held * 3 // 2


def test_sharding_divides_what_lasts_and_gathers_units():
    shape = shape_of(tiny_config("llama-3.2-3b-instruct"))
    model = tiny_model("llama-3.2-3b-instruct")
    outside = {p for n, p in model.named_parameters() if ".layers." not in n}
    assert shape.root == sum(p.numel() for p in outside)
    assert shape.layer == sum(p.numel() for p in model.model.layers[0].parameters())
    one, four = parts(shape, PLAN), parts(shape, replace(PLAN, devices=4, sharded=True))
    for name in ("weights", "gradients", "AdamW's moments", "reference"):
        assert part(four, name) == part(one, name) // 4
    assert part(four, "gathered embeddings and heads") == 2 * 4 * shape.root
    assert parts(shape, replace(PLAN, devices=4)) == one


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_an_adapter_s_parameters_and_activations(half):
    peft = pytest.importorskip("peft")
    name, plan = "qwen2.5-math-7b", replace(PLAN, half=half, lora_rank=4)
    sizes, trained = [], 0
    for layers in (2, 3):  # nothing in the first layer needs a gradient before its adapters
        settings = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
        model = tiny_model(name, num_hidden_layers=layers)
        peft.inject_adapter_in_model(settings, model)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        sizes.append(saved_bytes(model, half)[0])
    shape = shape_of(tiny_config(name, num_hidden_layers=3))
    found = parts(shape, plan)
    assert part(found, "gradients") == 4 * trained
    assert part(found, "weights") == (2 if half else 4) * shape.parameters
    assert part(found, "adapter's weights") == 4 * trained
    assert "reference" not in [entry.name for entry in found]
    assert sizes[1] - sizes[0] == pytest.approx(
        plan.tokens * layer_activations(shape, plan), rel=0.05
    )


def test_the_peak_is_of_the_moment_of_training_with_most():
    found = parts(shape_of(tiny_config(NAMES[0])), replace(PLAN, sampled=1000))
    sums = [at(found, moment) for moment in MOMENTS]
    assert peak(found) == max(sums[:-1]) < sums[-1]


@pytest.fixture
def memory(call):
    return partial(call, main)


def test_the_command_prints_every_part_and_devices(memory):
    status, out, _ = memory("--recipe llama-3.2-3b-instruct --devices 8")
    assert status == 0
    assert out.startswith("meta-llama/Llama-3.2-3B-Instruct: 3,212,749,824 parameters; 8192 tokens")
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert lines["weights"][1:] == ["1.50", "4", "x", "3,212,749,824", "/", "8", "devices"]
    sharded = [float(word) for word in lines["sharded (FSDP2)"][2:]]
    assert sharded == sorted(sharded, reverse=True)
    assert len(set(lines["each with a copy (DDP)"][5:])) == 1


def test_the_command_takes_a_folder(memory, tmp_path):
    folder = write_tiny_model("qwen2.5-math-7b", tmp_path / "model")
    status, out, _ = memory(f"--model {folder} --tokens-per-microbatch 256 --max-tokens 64")
    assert status == 0
    assert "256 tokens at a time in bfloat16, trajectories of 64" in out
    assert memory("--model builtin --lora-rank 4 --dtype float32")[0] == 0


def test_quantised_weights_are_not_shared(memory):
    status, out, _ = memory(
        "--recipe qwen2.5-math-7b --lora-rank 16 --quantise 4bit --devices 2 --eval-batch-size 0"
    )
    assert (status, "on each of 2 devices, each with a copy" in out) == (0, True)
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    # 28 layers of seven maps, 3584 wide, with keys of 512 and a feed-forward of 18944.
    maps = 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18944)
    assert float(lines["quantised weights"][2]) == round(maps / 2 / 2**30, 2)
    assert float(lines["weights"][1]) == round(2 * (PUBLISHED["qwen2.5-math-7b"] - maps) / 2**30, 2)
    peak = max(float(words[-1]) for name, words in lines.items() if name.endswith("together"))
    assert float(lines["LoRA of rank 16 on 4bit, each with a copy (DDP)"][-1]) == round(peak, 1)


def test_both_tables_tell_of_the_same_peak(memory):
    """With --devices and --lora-rank the first one is of weights that these share."""
    rows = {"": "sharded (FSDP2)", "--lora-rank 16": "LoRA of rank 16, sharded (FSDP2)"}
    for words, row in rows.items():
        _, out, _ = memory(f"--recipe qwen2.5-math-7b --devices 4 --eval-batch-size 0 {words}")
        lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
        peak = max(float(line[-1]) for name, line in lines.items() if name.endswith("together"))
        assert float(lines[row][-2]) == round(peak, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model nobody/nothing", "--model nobody/nothing: not a causal model"),
        ("--model ./nowhere", "--model ./nowhere: no model folder there"),
        ("--devices 0", "--devices 0: must be above 0"),
        ("--recipe mine", "--recipe mine: not one of deepseek-math-7b"),
        ("--steps 3", "unrecognized arguments: --steps 3"),
        ("--quantise 4bit", "quantised weights cannot be trained: give --lora-rank"),
    ],
)
def test_mistakes_get_one_line(memory, words, message):
    status, _, err = memory(words)
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert message in err
