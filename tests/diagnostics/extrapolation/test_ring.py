"""The ring of probes scores what brute force over the whole history scores, and no more."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from diagnostics.extrapolation.forecast import (
    best_lam,
    displacement_cosine,
    forecast_errors,
    forecast_log_probs,
    weight_error,
)
from diagnostics.extrapolation.ring import ProbeRing
from diagnostics.extrapolation.score import COLUMNS, ProbeTokens, frame, score_forecast
from diagnostics.extrapolation.snapshot import Snapshot
from objectives import Head

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()
TOKENS = ProbeTokens(torch.tensor([0, 3, 2, 1, 4]), MASK)
EVERY, STEPS, HORIZONS, LAGS = 5, 60, (5, 10, 20), (None, 15)


def history(dtype=torch.float64):
    """Return logits (N, V) of the policy at every fifth step of a bent and noisy path."""
    generator = torch.Generator().manual_seed(0)
    start, straight, bend = torch.randn(3, 5, 6, generator=generator, dtype=torch.float64)
    path = {}
    for step in range(0, STEPS + 1, EVERY):
        noise = torch.randn(5, 6, generator=generator, dtype=torch.float64)
        x = step / STEPS
        path[step] = (start + x * straight + x**2 * bend + 0.01 * noise).to(dtype)
    return path


def new_ring(**settings):
    return ProbeRing(EVERY, HORIZONS, lags=LAGS, tokens=TOKENS, **settings)


def by_brute_force(path, ending):
    for lag in LAGS:
        for horizon in HORIZONS:
            step = ending - horizon
            if step <= 0:
                continue
            start = 0 if lag is None else max(0, step - lag)
            name = "initial" if lag is None else "lagged:15"
            policies = path[start], path[step], path[ending]
            yield score_forecast(
                *policies, step=step, horizon=horizon, reference=name, tokens=TOKENS
            )


def test_snapshots_of_a_file_follow_those_to_come_to_another_device():
    ring, other = (ProbeRing(5, (10,), lags=(None, 5)) for _ in range(2))
    logits = Snapshot(torch.zeros(5, 6))
    states = Snapshot(torch.zeros(5, 2), Head(torch.zeros(6, 2), torch.zeros(6)))
    ring.push(0, logits)
    ring.push(5, states)
    other.load_state_dict(*ring.state_dict())
    other.push(10, Snapshot(torch.zeros(5, 6, device="meta")))
    tensors, _ = other.state_dict()
    assert {name.split(".")[0] for name in tensors} == {"0", "5", "10"}
    assert {x.device.type for x in tensors.values()} == {"meta"}


def test_every_score_is_that_of_the_whole_history():
    path, ring, count = history(), new_ring(), 0
    for step, logits in path.items():
        scores = ring.push(step, Snapshot(logits))
        assert scores == list(by_brute_force(path, step))
        count += len(scores)
    assert count == 2 * (11 + 10 + 8)


def test_it_holds_what_horizons_and_lags_still_need():
    path, ring = history(), new_ring()
    for step, logits in path.items():
        ring.push(step, Snapshot(logits))
        expected = {0, *range(max(0, step - 30), step + 1, EVERY)}
        assert set(ring.steps) == expected
    assert len(ring.steps) == (20 + 15) // EVERY + 1
    assert ring.nbytes == len(ring.steps) * 5 * 6 * 8
    lagged = ProbeRing(EVERY, (5,), lags=(10,))
    for step, logits in path.items():
        lagged.push(step, Snapshot(logits))
    assert lagged.steps == [50, 55, 60]


def test_a_score_holds_each_quantity_at_its_own_lambda():
    path = history()
    policies = path[0], path[30], path[50]
    score = score_forecast(*policies, step=30, horizon=20, lams=(0, 0.5, 2.0), tokens=TOKENS)
    assert score.lams == (0.0, 0.5, 2.0)
    assert score.errors == pytest.approx(forecast_errors(*policies, score.lams).tolist())
    assert score.best_lam == best_lam(*policies)
    assert score.best_error <= min(score.errors)
    assert score.skills == pytest.approx([1 - x / score.errors[0] for x in score.errors])
    assert score.best_skill == pytest.approx(1 - score.best_error / score.errors[0])
    assert score.cosine == displacement_cosine(*policies).item()
    for lam, found in zip(score.lams, score.weight_errors, strict=True):
        ahead = torch.zeros(3, 4).double()
        reached = ahead.clone()
        ahead[MASK] = forecast_log_probs(*policies[:2], TOKENS.targets, (lam,))[0]
        reached[MASK] = path[50].log_softmax(-1)[torch.arange(5), TOKENS.targets]
        # The row without tokens is no trajectory.
        assert found == pytest.approx(weight_error(ahead, reached, MASK)[:2].mean().item())


def test_a_forecast_from_its_own_origin_or_of_no_movement_says_nan():
    path = history()
    score = score_forecast(path[0], path[0], path[5], step=0, horizon=5)
    assert math.isnan(score.best_lam)
    assert math.isnan(score.best_error)
    assert math.isnan(score.cosine)
    assert set(score.skills) == {0.0}
    assert score.weight_errors is None
    score = score_forecast(path[0], path[5], path[5], step=5, horizon=5)
    assert score.best_lam == 0
    assert all(map(math.isnan, score.skills))


@pytest.mark.parametrize("with_head", [False, True])
def test_a_restored_ring_goes_on_as_if_nothing_had_happened(tmp_path, with_head):
    path = history(torch.float32)
    head = Head(torch.linspace(-2, 2, 66).view(11, 6).sin(), torch.arange(11) / 5, 0.5, 20.0)

    def snapshot(step):
        own = head._replace(weight=head.weight + step / 100, bias=head.bias.clone())
        return Snapshot(path[step], own if with_head else None)

    tokens = ProbeTokens(TOKENS.targets, MASK)
    whole = ProbeRing(EVERY, HORIZONS, lags=LAGS, tokens=tokens)
    resumed = ProbeRing(EVERY, HORIZONS, lags=LAGS, tokens=tokens)
    for step in range(0, 45, EVERY):
        whole.push(step, snapshot(step))
    tensors, values = whole.state_dict()
    save_file(tensors, tmp_path / "probes.safetensors")
    values = json.loads(json.dumps(values, allow_nan=False))
    resumed.load_state_dict(load_file(tmp_path / "probes.safetensors"), values)
    assert resumed.steps == whole.steps
    for step in range(45, STEPS + 1, EVERY):
        assert resumed.push(step, snapshot(step)) == whole.push(step, snapshot(step))


def test_a_ring_of_other_settings_is_not_restored():
    with pytest.raises(ValueError, match=r"horizons \[5, 10, 20\], not \[5\]"):
        ProbeRing(EVERY, (5,), lags=LAGS).load_state_dict(*new_ring().state_dict())


def test_bad_settings_and_steps_are_named():
    for bad in ({"horizons": (7,)}, {"horizons": ()}, {"lags": (3,)}, {"every": 0}, {"lags": ()}):
        settings = {"every": 5, "horizons": (5,), **bad}
        with pytest.raises(ValueError, match="multiples of every"):
            ProbeRing(**settings)
    path, ring = history(), new_ring()
    with pytest.raises(ValueError, match="step 0, got step 5"):
        ring.push(5, Snapshot(path[5]))
    ring.push(0, Snapshot(path[0]))
    with pytest.raises(ValueError, match="step 5, got step 10"):
        ring.push(10, Snapshot(path[10]))
    with pytest.raises(ValueError, match=r"\(5, 6\), got \(4, 6\)"):
        ring.push(5, Snapshot(path[5][:4]))
    with pytest.raises(ValueError, match="mask must be"):
        score_forecast(
            *[path[0]] * 3, step=5, horizon=5, tokens=ProbeTokens(TOKENS.targets, MASK[:1])
        )


def test_rows_are_a_long_table():
    path, ring = history(), new_ring(lams=(1.0, 2.0))
    scores = [score for step, x in path.items() for score in ring.push(step, Snapshot(x))]
    table = frame(scores)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(scores) * (3 * 3 + 4)
    one = table.query("step == 30 and horizon == 20 and reference == 'initial'")
    found = one.query("quantity == 'forecast_skill' and lam == 2")["value"].item()
    score = next(s for s in scores if (s.step, s.horizon, s.reference) == (30, 20, "initial"))
    assert found == score.skills[2]
    best = one.query("quantity == 'best_lam_skill'")
    assert (best["lam"].item(), best["value"].item()) == (score.best_lam, score.best_skill)
    assert one.query("quantity == 'displacement_cosine'")["lam"].isna().all()
    assert list(frame([]).columns) == list(COLUMNS)
