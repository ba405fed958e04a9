"""`--future-from` and `--lam auto`: the origin is where it says, and λ follows the rule."""

import pytest
import torch

from diagnostics.extrapolation.forecast import best_lam
from diagnostics.extrapolation.lam_rule import LamRule, LamState, lam_at, observe
from tests.helpers.started_runs import first_micro_batch, logits, started
from train.config.settings import Config
from train.models.copies import frozen_copy
from train.models.past_policies import LaggedPolicy

# A learning rate at which a few steps move the policy visibly.
QUICK = Config(steps=1, batch_size=8, learning_rate=3e-4, warmup_steps=0, eval_problems="none")


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_the_lagged_policy_is_that_of_exactly_so_many_updates_ago(setup, lag):
    policy = frozen_copy(setup.base.model)
    lagged, weight = LaggedPolicy(setup.base.model, policy, lag), policy.model.model.norm.weight
    path = [weight.clone()]
    for _ in range(3 * lag + 2):
        weight.mul_(1.01)
        path.append(weight.clone())
        lagged.advance()
        origin = lagged.origin.model.model.norm.weight
        assert torch.equal(origin, path[max(0, len(path) - 1 - lag)])
        assert len(lagged._past) <= lag + 1
    assert torch.equal(setup.base.model.model.model.norm.weight, path[0])


@pytest.mark.cpu
@pytest.mark.parametrize("name", ["fpa", "fpa_dpo"])
def test_the_future_is_extrapolated_from_the_lagged_policy(setup, name, tmp_path):
    run = started(setup, name, tmp_path / "run", future_from="lagged:2", lam=1.5)
    assert (run.policies.reference is None) == (name == "fpa")
    micro = first_micro_batch(run)
    path = [logits(run.policies.policy, micro.rows)]
    for step in range(1, 5):
        run.step(step)
        path.append(logits(run.policies.policy, micro.rows))
        with torch.no_grad():
            _, batch, _ = run.policies.evaluate(micro, run.updater.lam)
        now, before = path[step], path[max(0, step - 2)]
        dense = ((1 + 1.5) * now - 1.5 * before).log_softmax(-1)
        expected = dense.gather(-1, micro.rows.targets[:, None]).squeeze(-1)
        torch.testing.assert_close(batch.future[batch.mask].double(), expected, rtol=0, atol=1e-4)
        from_start = (2.5 * now - 1.5 * path[0]).log_softmax(-1)
        other = from_start.gather(-1, micro.rows.targets[:, None]).squeeze(-1)
        assert step < 3 or (other - expected).abs().max() > 1e-2
        if name == "fpa_dpo":  # whose own reference stays the initial one
            own = path[0].log_softmax(-1).gather(-1, micro.rows.targets[:, None]).squeeze(-1)
            torch.testing.assert_close(batch.reference[batch.mask].double(), own, rtol=0, atol=1e-4)


@pytest.mark.cpu
@pytest.mark.parametrize("origin", ["initial", "lagged:4"])
def test_lambda_follows_the_rule(setup, origin, tmp_path):
    given = {"lam": "auto", "lam_horizon": 2, "lam_floor": 0.0, "lam_ceiling": 9.0}
    run = started(setup, "fpa", tmp_path / "run", future_from=origin, **given)
    rule = LamRule(2, run.updater.gradients.spec.future.lag, 0.0, 9.0)
    assert run.updater.gradients.spec.future.rule == rule
    assert run.updater.auto_lam.every == 2
    rows = run.updater.auto_lam.probes.micro.rows
    path, state = [logits(run.policies.policy, rows)], LamState()
    for step in range(1, 8):
        run.step(step)
        done = step - 1
        if done >= 4 and done % 2 == 0:
            start = 0 if rule.lag is None else max(0, done - 2 - rule.lag)
            found = best_lam(path[start], path[done - 2], path[done])
            state = observe(state, rule, done - 2, 2, found)
        expected = lam_at(state, rule, done)
        assert run.history[-1]["lam"] == pytest.approx(expected, rel=1e-2)
        path.append(logits(run.policies.policy, rows))
    assert state != LamState()


def test_the_probes_of_lambda_draw_nothing_from_training(setup, tmp_path):
    torch.manual_seed(3)
    run = started(setup, "fpa", tmp_path / "run", lam="auto")
    run.step(1)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    groups = setup.data.group[run.updater.auto_lam.probes.pairs.index].view(-1, 2)
    assert len(groups) == len(groups[:, 0].unique()) == 32
    assert torch.equal(groups[:, 0], groups[:, 1])
