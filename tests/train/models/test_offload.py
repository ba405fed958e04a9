"""Layers' inputs kept on the host change no bit, and are what is computed of them."""

from dataclasses import replace

import pytest
import torch

from objectives import token_log_probs
from tests.helpers.paper_models import NAMES, tiny_config
from tests.helpers.started_runs import new_policy
from tests.train.models.test_lora import rows_of
from train import Config
from train.__main__ import main
from train.memory.footprint import MemoryPlan, parts
from train.memory.shape import shape_of
from train.models import offload
from train.models.language_model import recompute_layers
from train.models.offload import offload_activations


@pytest.mark.parametrize("rank", [None, 4])
def test_gradients_are_the_same_bits(setup_of, monkeypatch, rank):
    setup = setup_of(Config(lora_rank=rank, eval_problems="none", device="cpu"))
    moved = []
    pack = offload._pack
    monkeypatch.setattr(offload, "LEAST", 4096)
    monkeypatch.setattr(offload, "_pack", lambda x: moved.append(pack(x)) or moved[-1])
    found = []
    for there in (False, True):
        policy, rows = new_policy(setup), rows_of(setup, 16)
        recompute_layers(policy)
        policy = offload_activations(policy) if there else policy
        out = token_log_probs(policy.hidden(rows), policy.head, rows.targets).policy
        out.sum().backward()
        gradients = [p.grad for p in policy.model.parameters() if p.grad is not None]
        found.append([out.detach(), *gradients])
    assert len(found[0]) == len(found[1]) > 20
    assert all(torch.equal(*both) for both in zip(*found, strict=True))

    shape = shape_of(setup.base.model.model.config)
    tokens, length = rows.input_ids.numel(), rows.input_ids.shape[1]
    plan = MemoryPlan(tokens=tokens, length=length, half=False, lora_rank=rank, offload=True)
    computed = {part.name: part for part in parts(shape, plan)}["activations, on the host"]
    inputs = (len(rows.input_ids), length, shape.hidden)
    held = [kept for _, kept in moved if kept.nbytes >= 4096 and tuple(kept.shape) == inputs]
    # The last norm keeps what it squares and what it scales, and if it is trained the outcome.
    assert len(held) == shape.layers + (2 if rank else 3)
    assert sum(kept.nbytes for kept in held[: shape.layers]) == computed.bytes
    assert computed.moments == ()


def test_it_takes_the_layers_inputs_from_the_device():
    shape = shape_of(tiny_config(NAMES[0]))
    plan = MemoryPlan(tokens=64, length=32, half=False)
    one, other = (
        {p.name: p.bytes for p in parts(shape, replace(plan, offload=there))}["activations"]
        for there in (False, True)
    )
    assert one - other == (shape.layers - 1) * 64 * 4 * shape.hidden


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--activation-offload", "is for --gradient-checkpointing, which is not given"),
        ("--activation-offload --gradient-checkpointing", "on a CPU activations are in the host"),
    ],
)
def test_mistakes_are_one_line(call, words, message):
    status, _, err = call(main, f"--objective dpo --steps 1 --device cpu {words}")
    assert (status, err.strip().count("\n")) == (2, 0)
    assert message in err
