"""A policy's weights as a plain model has them."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from train.config import Config
from train.models.base import open_base
from train.models.whole_weights import whole_weights


@pytest.fixture(scope="module")
def base():
    return open_base(Config(device="cpu"))


@pytest.mark.parametrize("rank", [None, 3])
def test_a_model_of_these_weights_computes_what_the_policy_does(base, rank):
    policy = base.new_policy(Config(device="cpu", lora_rank=rank), base.placed()).model
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    before = {name: value.clone() for name, value in policy.named_parameters()}
    weights = dict(whole_weights(policy))
    plain = AutoModelForCausalLM.from_config(policy.config)
    assert weights.keys() == dict(plain.named_parameters()).keys()
    plain.load_state_dict(weights, strict=False)
    ids = torch.arange(2, 14)[None]
    with torch.no_grad():
        theirs, ours, first = (m(ids).logits for m in (plain.eval(), policy, base.model.model))
    assert torch.allclose(theirs, ours, atol=1e-4)
    assert not torch.allclose(ours, first, atol=1e-2)
    assert all(torch.equal(before[name], value) for name, value in policy.named_parameters())
