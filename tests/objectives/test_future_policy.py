"""Future Policy Approximation: whose coefficients, evaluated where."""

import functools
import pickle

import pytest
import torch

from objectives import (
    OBJECTIVES,
    Head,
    dpo,
    fpa,
    future_policy,
    offline_rl,
    per_trajectory,
    token_log_probs,
)
from objectives.batch import log_prob_mean
from objectives.future import at_future
from tests.helpers.zoo import FPA_NAMES, loss_and_gradient, random_batch

HYPER = {"fpa_hinge": {"beta": 0.8}}  # a margin is met at the policy that is not ahead


def form_of(name):
    return functools.partial(OBJECTIVES[name].loss, **HYPER.get(name, {}))


def base_of(name):
    return functools.partial(OBJECTIVES[name].loss.base, **HYPER.get(name, {}))


@pytest.mark.parametrize("name", FPA_NAMES)
def test_gradient_is_the_base_s_at_the_future_policy(name):
    policy, batch = random_batch()
    value, gradient = loss_and_gradient(form_of(name), policy, batch)
    base_value, _ = loss_and_gradient(base_of(name), policy, batch)
    _, ahead = loss_and_gradient(base_of(name), batch.future, at_future(batch))
    torch.testing.assert_close(gradient, ahead)
    assert torch.equal(value, base_value)
    _, here = loss_and_gradient(base_of(name), policy, batch)
    assert not torch.allclose(gradient, here)


@pytest.mark.parametrize("name", FPA_NAMES)
def test_without_extrapolation_it_is_its_base(name):
    policy, batch = random_batch()
    batch = batch._replace(future=policy.clone(), future_collision=batch.collision)
    mine, base = (loss_and_gradient(f(name), policy, batch) for f in (form_of, base_of))
    torch.testing.assert_close(mine, base, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FPA_NAMES)
@pytest.mark.parametrize("side", ["negative", "positive"])
def test_apply_to_one_side_leaves_the_other_at_the_policy(name, side):
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(form_of(name), policy, batch, apply_to=side)
    _, ahead = loss_and_gradient(base_of(name), batch.future, at_future(batch))
    _, here = loss_and_gradient(base_of(name), policy, batch)
    looks = (batch.reward > 0) == (side == "positive")
    torch.testing.assert_close(gradient, torch.where(looks[:, None], ahead, here))


def test_the_other_name_of_apply_to_is_an_argument_of_the_transform():
    policy, batch = random_batch()
    one = loss_and_gradient(future_policy(dpo, apply_to="negative"), policy, batch)[1]
    other = loss_and_gradient(future_policy(dpo), policy, batch, apply_to="negative")[1]
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="apply_to"):
        future_policy(dpo)(policy, batch, apply_to="none")


def test_a_row_in_several_pairs_gets_a_coefficient_from_each():
    policy, batch = random_batch()
    shared = batch._replace(pairs=torch.tensor([[0, 1], [0, 3], [2, 1]]))
    loss, gradient = loss_and_gradient(future_policy(dpo), policy, shared)
    ahead = torch.func.grad(lambda x: dpo(x, shared).sum())(batch.future)
    torch.testing.assert_close(gradient, ahead)
    # Each pair's loss carries its own rows' gradient alone.
    jacobian = torch.func.jacrev(lambda x: future_policy(dpo)(x, shared))(policy)
    assert [row.abs().sum(1).nonzero().flatten().tolist() for row in jacobian] == [
        [0, 1],
        [0, 3],
        [1, 2],
    ]
    assert loss.shape == (3,)


def test_fpa_weighs_the_likelihood_by_the_future_mean_probability():
    """The gradient of a token is -r p̄(π̂) / n."""
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(fpa, policy, batch)
    weight = batch.reward * log_prob_mean(batch.future, batch.mask).exp() / batch.mask.sum(1)
    torch.testing.assert_close(gradient, torch.where(batch.mask, -weight[:, None], 0.0))


def test_token_granularity_weighs_each_token_by_its_own_future_probability():
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(fpa, policy, batch, granularity="token")
    weight = batch.reward[:, None] * batch.future.exp() / batch.mask.sum(1, keepdim=True)
    torch.testing.assert_close(gradient, torch.where(batch.mask, -weight, 0.0))


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0])
def test_renyi_identity(lam):
    """log π̂ = (1+λ) log π - λ log π_ref - λ D, D the Rényi divergence of order 1+λ."""
    generator = torch.Generator().manual_seed(0)
    hidden, other = torch.randn(2, 20, 8, generator=generator).double()
    heads = [Head(w) for w in torch.randn(2, 31, 8, generator=generator).double()]
    targets = torch.randint(31, (20,), generator=generator)
    out = token_log_probs(hidden, heads[0], targets, reference=(other, heads[1]), lam=lam)
    p, q = (h.logits(x).log_softmax(-1) for h, x in zip(heads, (hidden, other), strict=True))
    divergence = ((1 + lam) * p - lam * q).logsumexp(-1) / lam
    expected = (1 + lam) * out.policy - lam * out.reference - lam * divergence
    torch.testing.assert_close(out.future, expected)
    assert (divergence > 0).all()


def test_hyper_parameters_pass_through():
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(future_policy(dpo), policy, batch, beta=0.7)
    _, ahead = loss_and_gradient(dpo, batch.future, batch, beta=0.7)
    torch.testing.assert_close(gradient, ahead)
    assert future_policy(offline_rl).unit == "trajectory"


def test_forms_are_taken_from_entries_partials_and_forms():
    policy, batch = random_batch()
    plain = loss_and_gradient(future_policy(dpo), policy, batch)
    for same in (OBJECTIVES["dpo"], functools.partial(dpo), functools.partial(OBJECTIVES["dpo"])):
        torch.testing.assert_close(loss_and_gradient(future_policy(same), policy, batch), plain)
    bound = loss_and_gradient(future_policy(functools.partial(dpo, beta=0.7)), policy, batch)
    given = loss_and_gradient(future_policy(dpo), policy, batch, beta=0.7)
    torch.testing.assert_close(bound, given)
    # A form's value is its base's, so that the form of a form looks ahead once, and not twice.
    nested = future_policy(future_policy(dpo))
    assert nested.__name__ == "fpa_fpa_dpo"
    assert nested.unit == "pair"
    assert nested.needs == future_policy(dpo).needs
    torch.testing.assert_close(loss_and_gradient(nested, policy, batch), plain)


@pytest.mark.parametrize("nothing", [len, lambda policy, batch: policy, 3, functools.partial(len)])
def test_what_is_no_objective_is_refused(nothing):
    with pytest.raises(ValueError, match="future_policy takes an objective"):
        future_policy(nothing)


def test_forms_are_pickled_by_what_they_are():
    policy, batch = random_batch()
    made = future_policy(dpo, "negative", name="mine")
    again = pickle.loads(pickle.dumps(made))
    assert (again.__name__, again.apply_to, again.base) == ("mine", "negative", dpo)
    one, other = (loss_and_gradient(o, policy, batch) for o in (made, again))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert pickle.loads(pickle.dumps(fpa)) is fpa


@pytest.mark.parametrize("name", FPA_NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_without_extrapolation_it_is_its_base_to_the_bit(name, dtype):
    policy, batch = random_batch(dtype=dtype)
    batch = batch._replace(future=policy.clone(), future_collision=batch.collision)
    if OBJECTIVES[name].unit == "pair":
        batch = batch._replace(pairs=torch.tensor([[0, 1], [0, 3], [2, 1], [4, 5], [0, 5]]))
    mine, base = (loss_and_gradient(f(name), policy, batch) for f in (form_of, base_of))
    torch.testing.assert_close(mine, base, rtol=0, atol=0)


def test_a_side_is_told_by_rewards_that_must_be_there():
    @per_trajectory()
    def likelihood(policy, batch):
        return -policy.sum(-1)

    policy, batch = random_batch()
    batch = batch._replace(reward=None)
    future_policy(likelihood)(policy, batch)
    for side in ("positive", "negative"):
        with pytest.raises(ValueError, match=r"fpa_likelihood needs batch\.reward"):
            future_policy(likelihood, side)(policy, batch)


def test_a_token_that_cannot_be_leaves_the_value_what_it_is():
    policy, batch = random_batch()
    policy[0, 0] = -torch.inf
    value = fpa(policy, batch)
    assert torch.equal(value, offline_rl(policy, batch))
    assert not value.isnan().any()
