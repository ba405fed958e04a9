"""λ from a horizon: exact on a line, with no lag, and within its floor and ceiling."""

import math

import pytest
import torch

from diagnostics.extrapolation.forecast import best_lam
from diagnostics.extrapolation.lam_rule import LamRule, LamState, check_rule, lam_at, observe

WIDE = {"floor": 0.0, "ceiling": 100.0}


def follow(rule, path, last, fitted_horizon):
    """Return λ at each step up to `last`, made of forecasts that have been scored by then."""
    state, lams = LamState(), {}
    for step in range(1, last + 1):
        made = step - fitted_horizon
        if made > 0:
            start = 0 if rule.lag is None else max(0, made - rule.lag)
            found = best_lam(path(start), path(made), path(step))
            state = observe(state, rule, made, fitted_horizon, found)
        lams[step] = lam_at(state, rule, step)
    return lams


def power_path(power):
    generator = torch.Generator().manual_seed(0)
    start, straight = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    return lambda step: start + (step / 20) ** power * straight


@pytest.mark.parametrize("fitted_horizon", [4, 8])
@pytest.mark.parametrize("lag", [None, 5])
def test_on_a_line_lambda_is_the_horizon_over_the_age(lag, fitted_horizon):
    rule = LamRule(8, lag, **WIDE)
    for step, lam in follow(rule, power_path(1), 30, fitted_horizon).items():
        assert lam == pytest.approx(8 / (step if lag is None else min(step, lag)), rel=1e-6)


def test_the_pace_is_the_power_of_growth_and_lambda_is_not_late():
    """On h = age^p the right λ at t is (1 + H/t)^p - 1, that of t - H a good deal larger."""
    power, horizon = 0.5, 2
    rule = LamRule(horizon, smoothing=0.5, **WIDE)
    lam = follow(rule, power_path(power), 40, horizon)[40]
    right = (1 + horizon / 40) ** power - 1
    late = (1 + horizon / (40 - horizon)) ** power - 1
    assert abs(lam - right) < 0.3 * abs(late - right)


def test_smoothing_keeps_its_share_of_the_former_pace():
    rule = LamRule(10, smoothing=0.75)
    # The pace measured is 0.5 * 30 / 10.
    assert observe(LamState(1.0), rule, 30, 10, 0.5).pace == pytest.approx(0.75 + 0.25 * 1.5)
    assert observe(LamState(1.0), rule._replace(smoothing=0), 30, 10, 0.5).pace == 1.5


def test_lambda_stays_between_floor_and_ceiling():
    rule = LamRule(20, floor=0.25, ceiling=1.5)
    assert lam_at(LamState(), rule, 0) == 1.5
    assert lam_at(LamState(), rule, 10) == 1.5
    assert lam_at(LamState(), rule, 40) == 0.5
    assert lam_at(LamState(), rule, 1000) == 0.25
    assert lam_at(LamState(0.0), rule, 40) == 0.25


def test_forecasts_that_say_nothing_leave_the_state():
    state, rule = LamState(0.7), LamRule(20)
    assert observe(state, rule, 20, 20, math.nan) == state
    assert observe(state, rule, 20, 20, 10.0) == state
    assert observe(state, rule, 20, 20, 0.0).pace == pytest.approx(0.8 * 0.7)


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon": 0},
        {"lag": 0},
        {"floor": -0.1},
        {"floor": 3.0},
        {"ceiling": math.inf},
        {"smoothing": 1.0},
        {"smoothing": math.nan},
    ],
)
def test_a_rule_that_cannot_be_followed_is_named(wrong):
    check_rule(LamRule(20, 10))
    with pytest.raises(ValueError, match="got"):
        check_rule(LamRule(**{"horizon": 20, **wrong}))
