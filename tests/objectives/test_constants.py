"""A batch holds constants: nothing flows to its fields, whatever they were computed from."""

import pytest
import torch

from objectives import OBJECTIVES, Batch, grpo
from tests.helpers.zoo import NAMES, loss_and_gradient, random_batch

every = pytest.mark.parametrize("name", NAMES)
FLOATS = [f for f in Batch._fields if f not in ("mask", "group", "pairs")]


@every
@pytest.mark.parametrize("field", FLOATS)
def test_no_gradient_flows_to_a_field(name, field):
    policy, batch = random_batch()
    leaf = getattr(batch, field).clone().requires_grad_()
    watched = policy.clone().requires_grad_()
    loss = OBJECTIVES[name](watched, batch._replace(**{field: leaf}))
    loss.sum().backward()
    assert leaf.grad is None
    assert torch.equal(watched.grad, loss_and_gradient(OBJECTIVES[name], policy, batch)[1])


@every
@pytest.mark.parametrize("field", ["reference", "future", "anchor", "previous_anchor"])
def test_a_field_that_is_the_policy_itself_is_a_constant(name, field):
    policy, batch = random_batch()
    watched = policy.clone().requires_grad_()
    loss = OBJECTIVES[name](watched, batch._replace(**{field: watched}))
    loss.sum().backward()
    as_constant = batch._replace(**{field: policy.clone()})
    assert torch.equal(watched.grad, loss_and_gradient(OBJECTIVES[name], policy, as_constant)[1])


def test_grpo_on_policy_has_the_policy_gradient():
    """With ratio 1 the gradient of a token is -A / n: grpo with the policy as its own anchor."""
    policy, batch = random_batch()
    watched = policy.clone().requires_grad_()
    grpo(watched, batch._replace(anchor=watched)).sum().backward()
    expected = -batch.reward[:, None] / batch.mask.sum(1, keepdim=True)
    torch.testing.assert_close(watched.grad, torch.where(batch.mask, expected, 0.0))
