"""A step whose models are on another device than the default: nothing is mixed, nothing waited for.

Without a GPU the other device is `meta`, whose tensors have no numbers: an operand that was left on
the CPU is refused there, and so is whatever asks a tensor for its value, at which a GPU would stop.
"""

import functools
from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from objectives import OBJECTIVES
from tests.helpers.started_runs import first_micro_batch, started
from train.config.settings import Config
from train.learning.divergence import mismatched_ratios
from train.models.copies import frozen_copy

SMALL = Config(steps=2, batch_size=8, eval_problems="none", device="cpu", reference_cache="off")
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture
def setup(setup_of):
    """Return a set-up with a base of its own, which is moved."""
    shared = setup_of(SMALL)
    return replace(shared, base=replace(shared.base, model=frozen_copy(shared.base.model)))


@pytest.fixture(autouse=True)
def one_text_a_row():
    # Transformers asks once a pass whether rows hold several texts, which ours never do.
    asked = "transformers.masking_utils.find_packed_sequence_indices"
    with mock.patch(asked, return_value=None):
        yield


def models(policies):
    anchors = policies.anchors
    past = () if anchors is None else (anchors.anchor, anchors.previous)
    lagged = () if policies.lagged is None else (policies.lagged.origin,)
    return filter(None, (policies.policy, policies.reference, *past, *lagged))


def on_device(run, device):
    for model in models(run.policies):
        model.model.to(device)


TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
SELECTING = {torch.ops.aten.masked_scatter_backward.default}  # calls one that is tagged


class Waits(TorchDispatchMode):
    """Collects operations for which a GPU is waited for, as what they give depends on values."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        waits = TAGS & set(function.tags) or function in SELECTING
        if function is torch.ops.aten.index.Tensor:  # by a mask, not by places
            waits = any(place is not None and place.dtype == torch.bool for place in args[1])
        if waits:
            self.found.add(str(function))
        return function(*args, **(kwargs or {}))


CASES = {name: (name, {}) for name in OBJECTIVES} | {
    "fpa of a lagged origin": ("fpa", {"future_from": "lagged:1"}),
    "grpo by tokens": ("grpo", {"aggregate": "token"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_on_a_device_without_numbers(case, setup, tmp_path):
    name, given = CASES[case]
    run = started(setup, name, tmp_path / "run", **given)
    micro = first_micro_batch(run)
    with Waits() as waits:
        run.updater.gradients.add([micro], 8, run.updater.lam)
    assert not waits.found
    run.policies.policy.model.zero_grad()
    on_device(run, "meta")
    totals = run.updater.gradients.add([micro], 8, run.updater.lam)
    assert {value.device.type for value in totals.values()} == {"meta"}
    parameters = list(run.policies.policy.model.parameters())
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in parameters)


def test_ratios_of_mismatched_rows_on_a_device_without_numbers(setup, tmp_path):
    run = started(setup, "kto", tmp_path / "run")
    batch = run.data.draw(1, run.policies.policy)
    on_device(run, "meta")
    policies = run.policies
    ratios = mismatched_ratios(
        policies.policy, policies.reference, batch.data, batch.units.flatten(), 4
    )
    assert ratios.device.type == "meta"


def test_a_value_that_is_asked_for_is_noticed(setup, tmp_path):
    run = started(setup, "fpa", tmp_path / "run")
    micro = first_micro_batch(run)
    on_device(run, "meta")
    policies = run.policies
    with Waits() as waits, torch.no_grad():
        torch.ones(4).masked_select(torch.ones(4) > 0).sum().item()
    assert waits.found == {"aten.masked_select.default", "aten._local_scalar_dense.default"}
    with pytest.raises(RuntimeError, match="meta"):
        policies.evaluate(micro, 1.0)[0].sum().item()
    policies.policy.model.model.norm.to_empty(device="cpu")
    with pytest.raises((RuntimeError, NotImplementedError), match=r"(?i)device|meta"):
        policies.evaluate(micro, 1.0)


@NEEDS_GPU
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_on_a_gpu_waits_for_nothing(name, dtype, setup_of, tmp_path, request):
    setup = setup_of(replace(SMALL, device="cuda", dtype=dtype))
    run = started(setup, name, tmp_path / "run")
    micro = first_micro_batch(run)
    run.updater.gradients.add([micro], 8, run.updater.lam)  # libraries are loaded
    request.addfinalizer(functools.partial(torch.cuda.set_sync_debug_mode, "default"))
    rows = micro.rows.to(torch.device("cuda"))
    batch = micro.batch.map(lambda x: x.cuda(), micro.batch._fields)
    torch.cuda.set_sync_debug_mode("error")
    run.updater.gradients.add([micro._replace(rows=rows, batch=batch)], 8, run.updater.lam)


@NEEDS_GPU
@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_on_a_gpu_are_those_of_a_cpu(name, setup_of, tmp_path):
    found = {}
    for device in ("cpu", "cuda"):
        setup = setup_of(replace(SMALL, device=device, dtype="float32"))
        run = started(setup, name, tmp_path / device)
        torch.manual_seed(0)
        with torch.no_grad():  # away from the reference, where every term counts
            for parameter in run.policies.policy.model.parameters():
                parameter.add_(0.01 * torch.randn(parameter.shape).to(parameter))
        run.updater.gradients.of(run.data.draw(1, run.policies.policy), run.updater.lam)
        parameters = run.policies.policy.model.named_parameters()
        found[device] = {key: p.grad.cpu() for key, p in parameters}
    for key, gradient in found["cpu"].items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(found["cuda"][key], gradient, rtol=1e-2, atol=1e-4 * scale)
