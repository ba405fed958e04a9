"""A batch holds constants: nothing flows to its fields, but to those that say so."""

import pytest
import torch

from objectives import OBJECTIVES, future_policy, grpo, guarded
from objectives.batch import CONSTANT_FIELDS, TRAINED_FIELDS
from tests.helpers.zoo import NAMES, loss_and_gradient, random_batch

every = pytest.mark.parametrize("name", NAMES)
FLOATS = [f for f in CONSTANT_FIELDS if f not in ("mask", "group", "pairs")]
READ = [(name, f) for name in NAMES for f in TRAINED_FIELDS if f in OBJECTIVES[name].needs]


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


@pytest.mark.parametrize(("name", "field"), READ)
@pytest.mark.parametrize("around", [lambda x: x, future_policy, guarded])
def test_a_trained_field_has_the_gradient_of_finite_differences(name, field, around):
    """Also within a transform, and where the weights are taken at the future policy."""
    policy, batch = random_batch()
    loss = around(OBJECTIVES[name].loss)
    upstream = torch.arange(1.0, len(policy) + 1, dtype=policy.dtype)

    def total(values):
        return loss(policy.clone().requires_grad_(), batch._replace(**{field: values})) @ upstream

    leaf = getattr(batch, field).clone().requires_grad_()
    assert torch.autograd.gradcheck(total, leaf)
    (slope,) = torch.autograd.grad(total(leaf), leaf)
    assert (slope != 0).equal(batch.mask)


@every
@pytest.mark.parametrize("field", TRAINED_FIELDS)
def test_a_trained_field_changes_nothing_for_who_does_not_read_it(name, field):
    if field in OBJECTIVES[name].needs:
        return
    policy, batch = random_batch()
    leaf = getattr(batch, field).clone().requires_grad_()
    watched = policy.clone().requires_grad_()
    OBJECTIVES[name](watched, batch._replace(**{field: leaf})).sum().backward()
    assert leaf.grad is None
    alone = batch._replace(**{field: None})
    assert torch.equal(watched.grad, loss_and_gradient(OBJECTIVES[name], policy, alone)[1])


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
