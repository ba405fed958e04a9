"""An adapter on a quantised base: as on a dense one of the same numbers, and merged into the whole.

With bitsandbytes, whose numbers are held to what its papers say (arXiv 2305.14314, 2208.07339).
"""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch.func import functional_call

from diagnostics.entanglement.gram import pair_grams
from diagnostics.parameters import select_parameters, trained_parameters
from diagnostics.trajectories import pack
from objectives import token_log_probs
from objectives.errors import InputError
from tests.helpers.started_runs import session, trained
from tests.train.models.test_lora import CONFIG, SCALE, logits, rows_of, trained_adapter
from train import merge
from train.__main__ import main
from train.devices import processes
from train.memory.footprint import MemoryPlan, parts
from train.memory.shape import shape_of
from train.models.copies import frozen_copy
from train.models.language_model import recompute_layers
from train.models.load import load_model
from train.models.quantised import count, quantised_layers
from train.models.reference_states import lay_out, reference_states
from train.run.cost import matrix_parameters
from train.run.setup import set_up
from train.store.opened import load_checkpoint, open_run

MISSING = find_spec("bitsandbytes") is None
pytestmark = pytest.mark.cpu
installed = pytest.mark.skipif(MISSING, reason="bitsandbytes is not installed")
CONFIG = replace(CONFIG, checkpoint_every=2, eval_problems="none")
BITS = ("4bit", "8bit")
NF4 = torch.tensor([
    -1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803,
    0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0,
])  # fmt: skip


@pytest.fixture(scope="module", params=BITS)
def setup(request, setup_of):
    return setup_of(replace(CONFIG, quantise=request.param))


def numbers(weight, bits):
    """Return what a weight is once quantised: a level of its block of 64, or of its row."""
    if bits == "8bit":
        largest = weight.abs().amax(-1, keepdim=True)
        return (weight / largest * 127).round() * largest / 127
    blocks = weight.reshape(-1, 64)
    largest = blocks.abs().amax(-1, keepdim=True)
    level = (blocks / largest)[..., None].sub(NF4).abs().argmin(-1)
    return (NF4[level] * largest).reshape(weight.shape)


def dense(policy, base, adapter=None):
    """Return the base's parameters with W + s B A where the policy has an adapter."""
    adapter = trained_parameters(policy.model) if adapter is None else adapter
    weights = {name: value.detach() for name, value in base.named_parameters()}
    for name in [n for n in adapter if ".lora_A." in n]:
        product = adapter[name.replace("lora_A", "lora_B")] @ adapter[name]
        own = name.split(".lora_A.")[0] + ".weight"
        weights[own] = weights[own] + SCALE * product
    return weights


@installed
def test_weights_are_the_nearest_levels(setup):
    # Half precision comes before 8 bits, and of 4 bits the scales are quantised themselves.
    close = 0.02 if setup.config.quantise == "4bit" else 0.001
    before, after = load_model("builtin")[0], dequantised(setup)
    for name, weight in before.named_parameters():
        found = after.get_parameter(name)
        if not name.endswith("_proj.weight"):
            assert torch.equal(found, weight)
            continue
        expected = numbers(weight.detach(), setup.config.quantise)
        step = (expected - weight).abs().max()
        assert (found - weight).abs().max() < 1.05 * step
        same = (found - expected).abs() < close * expected.abs().max()
        assert same.float().mean() > 0.98


@installed
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_a_dense_twin(setup, checkpointing):
    policy, rows = trained_adapter(setup), rows_of(setup)
    policy.log_probs(rows)  # a pass without gradients leaves the weights as they are
    if checkpointing:
        recompute_layers(policy)
    own = trained_parameters(policy.model)
    ours = token_log_probs(policy.hidden(rows), policy.head, rows.targets).policy
    ours.sum().backward()
    adapter = {name: value.detach().requires_grad_() for name, value in own.items()}
    base = dequantised(setup)
    inputs = {"input_ids": rows.input_ids, "attention_mask": rows.attention_mask}
    every = functional_call(base, dense(policy, base, adapter), (), inputs).logits
    theirs = every[rows.row, rows.position].log_softmax(-1)
    theirs = theirs.gather(-1, rows.targets[:, None]).squeeze(-1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    expected = torch.autograd.grad(theirs.sum(), list(adapter.values()))
    for (name, parameter), gradient in zip(own.items(), expected, strict=True):
        assert parameter.dtype == torch.float32
        assert (parameter.grad - gradient).abs().max() < 2e-4 * gradient.abs().max(), name
    assert all(p.grad is None for p in policy.model.parameters() if not p.requires_grad)


def dequantised(setup):
    """Return the base in whole numbers, as bitsandbytes gives them back."""
    from bitsandbytes.functional import dequantize_4bit

    model = load_model("builtin")[0]
    layers = quantised_layers(setup.base.model.model)
    names = [n for n, _ in model.named_parameters() if n.endswith("_proj.weight")]
    with torch.no_grad():
        for name, layer in zip(names, layers, strict=True):
            if setup.config.quantise == "8bit":
                value = layer.state.CB.float() * layer.state.SCB[:, None] / 127
            else:
                value = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
            model.get_parameter(name).copy_(value)
    return model


@installed
def test_a_token_does_not_see_what_is_computed_beside_it(setup):
    model, rows = setup.base.model, rows_of(setup)
    alone = model.log_probs(rows_of(setup, 1))
    together = model.log_probs(rows)[:1, : alone.shape[1]]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@installed
def test_the_base_is_once_in_memory_and_its_head_whole(setup):
    model = setup.base.model.model
    base, layers = set(map(id, model.parameters())), quantised_layers(model)
    assert len(layers) == 7 * model.config.num_hidden_layers
    policy = trained_adapter(setup)
    for other in (policy, frozen_copy(policy)):
        own = trained_parameters(other.model)
        assert {id(p) for n, p in other.model.named_parameters() if n not in own} == base
        assert quantised_layers(other.model) == layers
    assert setup.base.model.head.weight.dtype == torch.float32
    plain = load_model("builtin")[0]
    assert torch.equal(setup.base.model.head.weight, plain.get_output_embeddings().weight)
    assert count(model.parameters()) == count(plain.parameters()) == plain.num_parameters()
    assert matrix_parameters(model) == matrix_parameters(plain)
    assert f"in {setup.config.quantise}, frozen" in setup.describe()


@installed
def test_passes_in_bfloat16_leave_the_weights_trainable(tmp_path):
    setup = set_up(replace(CONFIG, quantise="4bit", dtype="bfloat16"))
    assert {p.dtype for p in setup.base.model.model.parameters()} == {torch.uint8, torch.bfloat16}
    weights = [layer.weight.clone() for layer in quantised_layers(setup.base.model.model)]
    _, result = trained(session(setup, "fpa", tmp_path / "run"))
    assert result.history[-1]["grad_norm"] > 0
    for layer, before in zip(quantised_layers(setup.base.model.model), weights, strict=True):
        assert torch.equal(layer.weight, before)


@installed
def test_a_run_begins_at_the_base_goes_on_in_the_same_bits_and_merges(setup, tmp_path, call):
    folder = tmp_path / "run"
    run, result = trained(session(setup, "omd", folder, period=2), vars(setup.config))
    assert result.history[0]["grad_norm"] > 0  # after the self-check
    policy = run.policies.policy.model
    checkpoint = folder / "checkpoints/step-4"
    again = load_checkpoint(open_run(folder), setup.base.model.model, setup.base.tokenizer)
    with torch.no_grad():
        assert torch.equal(logits(again), logits(policy))
        assert (logits(again) - logits(setup.base.model.model)).abs().max() > 1e-2
    settings = json.loads((checkpoint / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "builtin"

    shutil.copytree(folder, tmp_path / "second")
    (tmp_path / "second/result.json").unlink()
    shutil.rmtree(tmp_path / "second/checkpoints/step-4")
    session(setup, "omd", tmp_path / "second", period=2).train(vars(setup.config), resume=True)
    one, other = (
        (f / "checkpoints/step-4/adapter_model.safetensors").read_bytes()
        for f in (folder, tmp_path / "second")
    )
    assert one == other

    status, out, _ = call(merge.main, ["--model", checkpoint, "--out", "whole"])
    assert (status, out.endswith("\nwhole\n")) == (0, True)
    assert f"it was trained on its base in {setup.config.quantise}, and is added to the" in out
    plain = load_model("builtin")[0]
    with torch.no_grad():
        merged = logits(load_model(str(tmp_path / "whole"))[0])
        theirs = logits(plain, dense(run.policies.policy, plain))
    torch.testing.assert_close(merged, theirs, rtol=1e-4, atol=1e-4)


@installed
def test_gradient_diagnostics_are_of_the_adapter(setup):
    policy = trained_adapter(setup)
    rows = pack([([4, 5, 6], [7, 8, 9]), ([4, 5, 6], [7, 10])])
    weights = torch.ones(2, 1, rows.mask.shape[1])
    parameters = select_parameters(policy.model)
    grams = [pair_grams(policy.model, rows, weights, parameters, route=route)
             for route in ("auto", "backward")]  # fmt: skip
    torch.testing.assert_close(*grams, rtol=1e-3, atol=1e-4)


@installed
def test_states_on_disk_are_of_the_quantised_base(setup, setup_of, tmp_path):
    data, rows = setup.data, torch.arange(4)
    for base in (setup.base.model, setup_of(CONFIG).base.model):
        reference_states(base, data, lay_out(data, rows, base), tmp_path / "states", tmp_path)
    assert len(list((tmp_path / "states").glob("*.states"))) == 2


@installed
def test_computed_memory_is_that_of_the_tensors(setup):
    model = setup.base.model.model
    layers, shape = quantised_layers(model), shape_of(load_model("builtin")[0].config)
    weights = {id(layer.weight) for layer in layers}
    whole = sum(p.nbytes for p in model.parameters() if id(p) not in weights)
    scales = 0
    for layer in layers:
        if setup.config.quantise == "8bit":
            scales += layer.state.SCB.nbytes
        else:
            state = layer.weight.quant_state
            scales += state.absmax.nbytes + state.state2.absmax.nbytes
    plan = MemoryPlan(tokens=64, length=32, half=False, lora_rank=3, quantise=setup.config.quantise)
    found = {part.name: part.bytes for part in parts(shape, plan)}
    assert found["weights"] == whole
    assert found["quantised weights"] == sum(layer.weight.nbytes for layer in layers)
    assert found["their scales"] == scales


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--quantise 4bit", "quantised weights cannot be trained: give --lora-rank"),
        ("--quantise 3bit --lora-rank 4", "argument --quantise: invalid choice: '3bit'"),
        ("--load_in_4bit", "--load_in_4bit: here it is --quantise: as in --quantise 4bit"),
        pytest.param("--quantise 4bit --lora-rank 4 --model x.gguf", "not of --model x.gguf, a",
                     marks=installed),
        pytest.param("--quantise 8bit --lora-rank 4 --engine vllm", "not with --quantise 8bit",
                     marks=installed),
        pytest.param("--quantise 8bit --lora-rank 4", "it needs bitsandbytes, which is not",
                     marks=pytest.mark.skipif(not MISSING, reason="it is installed")),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(call, tmp_path, words, message):
    (tmp_path / "x.gguf").write_bytes(b"")
    status, _, err = call(main, f"--objective dpo --steps 1 --device cpu {words}")
    assert (status, err.strip().count("\n")) == (2, 0)
    assert message in err


@installed
def test_a_loaded_model_and_shared_weights_are_refused(monkeypatch):
    config = replace(CONFIG, quantise="4bit")
    with pytest.raises(InputError, match="not of a loaded model, which stays as it is"):
        set_up(config, model=load_model("builtin"))
    monkeypatch.setattr(processes, "sharding", lambda: True)
    with pytest.raises(InputError, match=r"not with weights that processes share \(FSDP2\)"):
        set_up(config)
