"""Extrapolation error: every quantity against a plainly written twin, and where it is known."""

import math

import pytest
import torch

from diagnostics.extrapolation.forecast import (
    best_lam,
    displacement_cosine,
    forecast_errors,
    forecast_log_probs,
    forecast_slope,
    skill,
    weight_error,
)
from diagnostics.extrapolation.snapshot import Snapshot, take_snapshot
from objectives import Head, token_log_probs

LAMS = (0.0, 0.25, 0.5, 1.0, 2.0)
POSITIONS, VOCABULARY, WIDTH = 11, 7, 4


def three_policies(seed=0, dtype=torch.float64):
    """Return logits (N, V) of origin, now and later, later roughly on the way from origin."""
    generator = torch.Generator().manual_seed(seed)
    origin, step, noise = torch.randn(
        3, POSITIONS, VOCABULARY, generator=generator, dtype=torch.float64
    )
    now = origin + step
    return tuple(x.to(dtype) for x in (origin, now, now + 0.6 * step + 0.3 * noise))


def weights():
    return torch.arange(POSITIONS, dtype=torch.float64)


def error_in_plain_words(origin, now, later, lam, weight):
    """One position after the other, in the definition's own terms; differentiable in λ."""
    total = 0
    for before, here, after, share in zip(origin, now, later, weight / weight.sum(), strict=True):
        forecast = torch.softmax((1 + lam) * here - lam * before, 0)
        target = torch.softmax(after, 0)
        total = total + share * sum(p * (p.log() - q.log()) for p, q in zip(target, forecast))  # noqa: B905
    return total


@pytest.mark.parametrize("weight", [None, weights()])
@pytest.mark.parametrize("chunk_size", [None, 1, 4, 100])
def test_errors_are_the_divergence_of_the_definition(weight, chunk_size):
    policies = three_policies()
    errors = forecast_errors(*policies, LAMS, weights=weight, chunk_size=chunk_size)
    plain = torch.ones(POSITIONS).double() if weight is None else weight
    expected = torch.stack([error_in_plain_words(*policies, lam, plain) for lam in LAMS])
    torch.testing.assert_close(errors, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("lam", LAMS)
def test_slope_is_what_autograd_finds(lam):
    policies = three_policies()
    at = torch.tensor(lam, dtype=torch.float64, requires_grad=True)
    error = error_in_plain_words(*policies, at, weights())
    (first,) = torch.autograd.grad(error, at, create_graph=True)
    (second,) = torch.autograd.grad(first, at)
    slope = forecast_slope(*policies, lam, weights=weights(), chunk_size=3)
    torch.testing.assert_close(slope.first, first.detach(), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(slope.second, second, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_best_lam_is_the_least_error_of_a_fine_grid(seed):
    policies = three_policies(seed)
    best = best_lam(*policies, weights=weights())
    grid = torch.linspace(0, 3, 3001).tolist()
    errors = forecast_errors(*policies, grid, weights=weights())
    assert best == pytest.approx(grid[errors.argmin()], abs=1.1e-3)
    assert forecast_slope(*policies, best, weights=weights()).first.abs() < 1e-9
    assert best_lam(*policies, weights=weights(), chunk_size=2) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, 4.7])
def test_best_lam_recovers_an_extrapolation_exactly(lam):
    origin, now, _ = three_policies()
    later = now + lam * (now - origin) + 5.0  # softmax ignores the constant, so must we
    assert best_lam(origin, now, later) == pytest.approx(lam, abs=1e-8)
    errors = forecast_errors(origin, now, later, (0.0, lam, 6.0))
    assert errors[1] == pytest.approx(0, abs=1e-14)
    if lam:
        assert skill(errors, errors[0])[1] == pytest.approx(1, abs=1e-12)
        assert displacement_cosine(origin, now, later) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("step", "horizon"), [(40, 20), (40, 40), (100, 20), (3, 1)])
def test_linear_growth_looks_ahead_by_the_horizon_over_the_steps_taken(step, horizon):
    origin, other, _ = three_policies()

    def policy_at(t):
        return origin + 0.01 * t * (other - origin)

    best = best_lam(origin, policy_at(step), policy_at(step + horizon))
    assert best == pytest.approx(horizon / step, abs=1e-8)
    # From a lagged origin it is the horizon over the lag, whatever the step.
    best = best_lam(policy_at(step - 2), policy_at(step), policy_at(step + horizon), ceiling=30)
    assert best == pytest.approx(horizon / 2, abs=1e-6)


def test_best_lam_stays_between_floor_and_ceiling():
    origin, now, _ = three_policies()
    step = now - origin
    assert best_lam(origin, now, now - 0.5 * step) == 0
    assert best_lam(origin, now, now - 0.5 * step, floor=-2) == pytest.approx(-0.5)
    assert best_lam(origin, now, now + 3 * step, ceiling=2) == 2
    assert best_lam(origin, now, now + 20 * step) == 10
    with pytest.raises(ValueError, match="floor"):
        best_lam(origin, now, now, floor=1, ceiling=1)


def test_best_lam_survives_policies_that_are_nearly_certain():
    """There the curvature vanishes, and a bare Newton step would leave the bracket."""
    origin, now, _ = three_policies()
    step = 40 * (now - origin)
    assert best_lam(origin, origin + step, origin + 1.5 * step) == pytest.approx(0.5, abs=1e-4)


def test_a_policy_that_did_not_move_has_no_skill_and_one_at_its_origin_no_best_lam():
    origin, now, later = three_policies()
    errors = forecast_errors(origin, now, now, LAMS)
    assert errors[0] == 0
    assert skill(errors, errors[0]).isnan().all()
    assert best_lam(origin, now, now) == 0
    assert displacement_cosine(origin, now, now).isnan()
    errors = forecast_errors(now, now, later, LAMS)
    assert (skill(errors, errors[0]) == 0).all()
    assert math.isnan(best_lam(now, now, later))
    assert displacement_cosine(now, now, later).isnan()


def test_logits_that_are_not_finite_give_nan():
    origin, now, later = three_policies()
    now[3, 2] = math.inf
    assert forecast_errors(origin, now, later, LAMS).isnan().all()
    assert math.isnan(best_lam(origin, now, later))


@pytest.mark.parametrize("chunk_size", [None, 3])
def test_cosine_is_of_all_centred_logits_as_one_vector(chunk_size):
    origin, now, later = three_policies()

    def flat(x):
        return ((x - x.mean(1, keepdim=True)) * weights().sqrt()[:, None]).flatten()

    expected = torch.cosine_similarity(flat(now - origin), flat(later - now), dim=0)
    shift = torch.arange(POSITIONS).double()[:, None]
    found = displacement_cosine(
        origin, now + shift, later - shift, weights=weights(), chunk_size=chunk_size
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_float32_logits_keep_a_divergence_that_float32_cannot_hold():
    origin, now, _ = three_policies(dtype=torch.float32)
    later = now + 1e-4 * (now - origin)
    error = forecast_errors(origin, now, later, (0.0,))
    expected = error_in_plain_words(
        *(x.double() for x in (origin, now, later)), 0, weights() * 0 + 1
    )
    assert 0 < error < 1e-8
    torch.testing.assert_close(error[0], expected, rtol=1e-6, atol=0)


def test_token_log_probs_of_the_forecast_are_the_kernel_s():
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(2, POSITIONS, WIDTH, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, VOCABULARY, WIDTH, generator=generator, dtype=torch.float64)
    targets = torch.arange(POSITIONS) % VOCABULARY
    heads = [Head(w, scale=0.7, softcap=5.0) for w in weight]
    origin, now = map(Snapshot, hidden, heads)
    kernel = token_log_probs(hidden[1], heads[1], targets, reference=(hidden[0], heads[0]), lam=0.8)
    for chunk_size in (None, 4):
        found = forecast_log_probs(origin, now, targets, (0.8, 0.0), chunk_size=chunk_size)
        torch.testing.assert_close(found, torch.stack([kernel.future, kernel.policy]))


def test_weight_error_compares_mean_log_probs():
    forecast = torch.tensor([[-1.0, -2.0, 9.0], [-1.0, -1.0, -1.0], [9.0, 9.0, 9.0]])
    later = torch.tensor([[-2.0, -2.0, 7.0], [-1.0, 0.5, -1.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]]).bool()
    assert weight_error(forecast, later, mask).tolist() == [0.5, 0.5, 0.0]
    with pytest.raises(ValueError, match=r"\(B, T\)"):
        weight_error(forecast, later[:1], mask)


@pytest.mark.parametrize("positions", [3, 60])
def test_a_snapshot_keeps_the_smaller_form_and_its_own_copy(positions):
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(positions, WIDTH, generator=generator)
    head = Head(torch.randn(VOCABULARY * 3, WIDTH, generator=generator), torch.ones(21), 2.0, 9.0)
    logits = head.logits(hidden).double()
    snapshot = take_snapshot(hidden, head)
    assert (snapshot.head is None) == (positions == 3)
    assert snapshot.shape == (positions, 21)
    assert snapshot.nbytes == 4 * (3 * 21 if positions == 3 else 60 * 4 + 21 * 4 + 21)
    hidden.zero_()
    head.weight.zero_()
    assert torch.equal(snapshot.logits(slice(None)), logits)
    assert not snapshot.logits(slice(None)).requires_grad


def test_shapes_that_do_not_fit_are_named():
    origin, now, later = three_policies()
    with pytest.raises(ValueError, match=r"\(11, 7\).*\(11, 6\)"):
        forecast_errors(origin, now, later[:, :-1], LAMS)
    with pytest.raises(ValueError, match="policies"):
        best_lam(origin, now, later[0])
    with pytest.raises(ValueError, match=r"weights must be \(11,\)"):
        forecast_errors(origin, now, later, LAMS, weights=weights()[1:])
    with pytest.raises(ValueError, match="not all 0"):
        displacement_cosine(origin, now, later, weights=weights() * 0)
    with pytest.raises(ValueError, match=r"targets must be \(11,\)"):
        forecast_log_probs(origin, now, torch.zeros(10).long(), LAMS)
    with pytest.raises(ValueError, match="no probe positions"):
        displacement_cosine(origin[:0], now[:0], later[:0])
    with pytest.raises(ValueError, match="hidden"):
        take_snapshot(torch.zeros(3, 4), Head(torch.zeros(5, 3)))


def test_tokens_that_a_bias_rules_out_are_as_if_not_there():
    generator = torch.Generator().manual_seed(3)
    policies = list(torch.randn(3, 4, 6, generator=generator, dtype=torch.float64))
    wide = [torch.cat([x, torch.full((4, 2), -torch.inf)], 1) for x in policies]
    targets = torch.tensor([0, 5, 2, 1])
    for lam in (0.0, 0.7, 2.0):
        ours = forecast_errors(*wide, (lam,)), forecast_log_probs(*wide[:2], targets, (lam,))
        cut = forecast_errors(*policies, (lam,)), forecast_log_probs(*policies[:2], targets, (lam,))
        torch.testing.assert_close(ours, cut)
    assert best_lam(*wide) == pytest.approx(best_lam(*policies))
