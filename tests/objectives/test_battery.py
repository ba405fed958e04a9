"""What every registered objective must hold; a new one is covered by being registered."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import OBJECTIVES, Batch
from objectives.batch import ROW_FIELDS, TOKEN_FIELDS, log_prob_mean
from tests.helpers.zoo import FPA_NAMES, NAMES, loss_and_gradient, random_batch

every = pytest.mark.parametrize("name", NAMES)


# Their gradient is not the derivative of their value; it is worked out by hand elsewhere.
STOPPED = {"topr", "gate_dpo"}


@pytest.mark.parametrize("name", [n for n in NAMES if n not in FPA_NAMES and n not in STOPPED])
def test_gradient_check(name):
    policy, batch = random_batch()
    inputs = policy.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: OBJECTIVES[name](x, batch), inputs)


@every
def test_loss_has_one_value_per_unit(name):
    objective = OBJECTIVES[name]
    policy, batch = random_batch(rows=8)
    assert objective(policy, batch).shape == ((4,) if objective.unit == "pair" else (8,))


@every
@settings(max_examples=5)
@given(extra=st.integers(1, 4), seed=st.integers(0, 99))
def test_mask_is_slicing(name, extra, seed):
    policy, batch = random_batch(seed=seed)
    garbage = torch.tensor([float("nan"), float("inf"), -1e30, 5.0], dtype=policy.dtype)[:extra]

    def widen(x):
        wide = torch.cat([x, garbage.expand(len(x), extra)], 1)
        return torch.where(mask, wide, garbage[:1]) if x is not batch.mask else wide

    mask = torch.cat([batch.mask, torch.zeros(len(policy), extra, dtype=torch.bool)], 1)
    wide = batch.map(widen, TOKEN_FIELDS)._replace(mask=mask)
    loss, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch)
    wide_loss, wide_gradient = loss_and_gradient(OBJECTIVES[name], widen(policy), wide)
    torch.testing.assert_close(wide_loss, loss)
    torch.testing.assert_close(wide_gradient[:, : policy.shape[1]], gradient)
    assert not wide_gradient[~mask].any()


@every
def test_rows_may_come_in_any_order(name):
    policy, batch = random_batch()
    order = torch.tensor([3, 0, 5, 2, 1, 4])
    place = torch.argsort(order)
    shuffled = batch.rows(order)._replace(pairs=place[batch.pairs])
    loss, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch)
    moved_loss, moved_gradient = loss_and_gradient(OBJECTIVES[name], policy[order], shuffled)
    expected = loss if OBJECTIVES[name].unit == "pair" else loss[order]
    torch.testing.assert_close(moved_loss, expected)
    torch.testing.assert_close(moved_gradient, gradient[order])


@every
def test_micro_batches_add_up_to_the_batch(name):
    policy, batch = random_batch()
    loss, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch)
    parts = []
    for rows in torch.arange(6).split([2, 4]):
        own = torch.arange(len(rows)).view(-1, 2)
        part = batch.rows(rows)._replace(pairs=own)
        parts.append(loss_and_gradient(OBJECTIVES[name], policy[rows], part))
    torch.testing.assert_close(torch.cat([loss for loss, _ in parts]), loss)
    torch.testing.assert_close(torch.cat([gradient for _, gradient in parts]), gradient)


@every
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
@pytest.mark.parametrize("value", [-1e4, 0.0])
def test_extreme_log_probs_and_an_empty_row_stay_finite(name, value):
    policy, batch = random_batch(dtype=torch.float32)
    policy[2] = value
    batch.future[2] = value
    batch.mask[5] = False
    loss, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    assert loss[-1] == 0  # the last row, or the pair it is in
    assert not gradient[5].any()


@every
def test_pure(name):
    policy, batch = random_batch()
    before = [x.clone() for x in (policy, *[x for x in batch if x is not None])]
    state = torch.get_rng_state()
    first, second = OBJECTIVES[name](policy, batch), OBJECTIVES[name](policy, batch)
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    after = (policy, *[x for x in batch if x is not None])
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


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


@pytest.mark.parametrize("name", ["fpa", "dpo", "kto", "orpo", "fpa_dpo"])
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
