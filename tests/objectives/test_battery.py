"""What every registered objective must hold; a new one is covered by being registered."""

import pytest
import torch

from objectives import OBJECTIVES, Batch, Objective, contract, per_trajectory, testing
from objectives.batch import ROW_FIELDS, TOKEN_FIELDS, log_prob_mean
from objectives.future import FutureLoss
from objectives.testing import check
from tests.helpers.zoo import GUARDED, NAMES, loss_and_gradient, random_batch

every = pytest.mark.parametrize("name", NAMES + GUARDED)


# Their gradient is not the derivative of their value; it is worked out by hand elsewhere.
STOPPED = {"topr", "gate_dpo", "dft", "nft", "vespo", "cispo", "wpo_dpo"}


@every
def test_the_battery_that_others_have_too(name):
    check(name, stopped=name in STOPPED)


@pytest.mark.parametrize("name", NAMES)
def test_value_at_the_reference_is_its_closed_form(name):
    objective = OBJECTIVES[name]
    policy, batch = random_batch(at_reference=True)
    if objective.at_reference is None:
        assert not {"reference", "anchor"} & set(objective.needs)  # nothing to be at
        return
    hyper = {n: p.default for n, p in objective.hyper_parameters.items()}
    expected = objective.at_reference(log_prob_mean(policy, batch.mask), batch, hyper)
    loss = objective(policy, batch)
    torch.testing.assert_close(loss, torch.as_tensor(expected).to(loss).expand_as(loss))


@every
def test_works_under_function_transforms(name):
    objective = OBJECTIVES[name]
    batches = [random_batch(seed=seed) for seed in range(3)]
    policies = torch.stack([policy for policy, _ in batches])
    stacked = Batch(*(torch.stack(column) for column in zip(*[b for _, b in batches], strict=True)))

    def total(policy, batch):
        return objective(policy, batch).sum()

    gradients = torch.func.vmap(torch.func.grad(total))(policies, stacked)
    for gradient, (policy, batch) in zip(gradients, batches, strict=True):
        torch.testing.assert_close(gradient, loss_and_gradient(objective, policy, batch)[1])
    policy, batch = batches[0]
    jacobian = torch.func.jacrev(objective)(policy, batch)
    torch.testing.assert_close(jacobian.sum(0), gradients[0])


@pytest.mark.parametrize("name", ["fpa", "dpo", "kto", "orpo", "fpa_dpo", "guarded_fpa"])
def test_compiles(name):
    policy, batch = random_batch()
    objective = OBJECTIVES[name].loss
    torch.testing.assert_close(
        torch.compile(objective, backend="eager")(policy, batch), objective(policy, batch)
    )


@every
def test_weights_multiply(name):
    policy, batch = random_batch()
    plain, _ = loss_and_gradient(OBJECTIVES[name], policy, batch._replace(weight=None))
    weight = torch.tensor([2.0, 3.0, 1.0, 0.5, 1.0, 0.0], dtype=policy.dtype)
    loss, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch._replace(weight=weight))
    factor = weight[batch.pairs].prod(1) if OBJECTIVES[name].unit == "pair" else weight
    torch.testing.assert_close(loss, plain * factor)
    assert not gradient[5].any()


@every
def test_needs_are_asked_for_and_the_rest_may_be_missing(name):
    objective = OBJECTIVES[name]
    policy, batch = random_batch()
    for field in objective.needs:
        with pytest.raises(ValueError, match=f"batch.{field}"):
            objective(policy, batch._replace(**{field: None}))
    needed = {"mask": batch.mask, **{n: getattr(batch, n) for n in objective.needs}}
    torch.testing.assert_close(objective(policy, Batch(**needed)), objective(policy, batch))


@every
def test_wrong_shapes_are_named(name):
    objective = OBJECTIVES[name]
    policy, batch = random_batch()
    with pytest.raises(ValueError, match="policy"):
        objective(policy[0], batch)
    for field in (*TOKEN_FIELDS, *ROW_FIELDS):
        with pytest.raises(ValueError, match=f"batch.{field}"):
            objective(policy, batch._replace(**{field: torch.zeros(2, 3, 4)}))
    with pytest.raises(ValueError, match="bool"):
        objective(policy, batch._replace(mask=batch.mask.long()))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, b: p.detach().exp().sum(-1) * p.sum(-1), "finite differences"),
        (lambda p, b: p.sum(-1) / p.sum(), "(order|splitting)"),
        (lambda p, b: p.sum(-1) * torch.rand(()), "finite differences|twice|random"),
        (lambda p, b: p.sum(-1).neg().exp(), "not finite"),
    ],
)
def test_the_battery_finds_what_breaks_a_promise(function, message):
    function.__name__ = "broken"
    with pytest.raises(AssertionError, match=rf"^broken: .*({message})"):
        check(per_trajectory("reward")(function))


def undeclared(policy, batch):
    """An objective by its attributes alone, which nobody checks on entry."""
    return torch.where(batch.mask, policy, 0).sum(-1) * batch.reward[: len(policy)]


undeclared.unit, undeclared.needs = "trajectory", ("reward",)


class WrongForm(FutureLoss):
    """Says that it looks ahead, and does not."""

    def __call__(self, policy, batch, apply_to=None, **hyper):
        return self.base(policy, batch, **hyper)


def test_the_battery_finds_what_is_not_checked_on_entry():
    with pytest.raises(AssertionError, match=r"undeclared: .* is not refused"):
        check(Objective(undeclared, ""))


def test_the_battery_finds_a_form_that_does_not_look_ahead(monkeypatch):
    monkeypatch.setattr(testing, "FutureLoss", WrongForm)
    with pytest.raises(AssertionError, match="dpo: looking ahead changes its gradient"):
        check("dpo")


def test_the_battery_finds_a_number_outside_of_its_domain(monkeypatch):
    monkeypatch.setattr(contract, "check_domains", lambda *_: None)
    with pytest.raises(AssertionError, match=r"dpo: beta (0|nan|inf) is not refused"):
        check("dpo")
