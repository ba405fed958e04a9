"""Extragradient, Nash-MD and the magnet: what each step maximises, and where play ends."""

import sys

import pytest
import torch

from objectives import (
    exploitability,
    extragradient_step,
    magnetic_step,
    mirror_step,
    nash_md_step,
    self_play,
    zero_sum,
)
from objectives import game_curves as picture
from objectives.convergence import main

ETA = 0.1
PENNIES = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
# Its rows' player gets a half in equilibrium with (1/4, 3/4), its columns' with (1/2, 1/2).
TILTED = torch.tensor([[2.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
TILTED_EQUILIBRIUM = torch.tensor([[0.25, 0.75], [0.5, 0.5]], dtype=torch.float64)
START = torch.tensor([[0.3, -0.3], [-0.6, 0.6]], dtype=torch.float64).log_softmax(-1)
UNIFORM = torch.zeros_like(START).log_softmax(-1)


def maximum(value):
    """Return the log-policy (4,) of the largest value, found numerically."""
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        loss = -value(logits.log_softmax(-1))
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.log_softmax(-1).detach()


def divergence(one, other):
    return (one.exp() * (one - other)).sum()


def test_a_magnetic_step_is_its_maximum():
    generator = torch.Generator().manual_seed(0)
    policy, magnet, reward = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    policy, magnet = policy.log_softmax(-1), magnet.log_softmax(-1)
    expected = maximum(
        lambda new: (
            (new.exp() * reward).sum()
            - 0.4 * divergence(new, magnet)
            - divergence(new, policy) / 0.7
        )
    )
    found = magnetic_step(policy, reward, 0.7, magnet, 0.4)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_nash_md_step_is_a_mirror_step_from_the_mixture():
    policy, reference = START[0], torch.tensor([0.2, 0.8], dtype=torch.float64).log()
    mixture = policy.exp() ** 0.95 * reference.exp() ** 0.05
    mixture = mixture / mixture.sum()
    expected = mixture * (0.1 * torch.tensor([1.0, 2.0]) * mixture).exp()
    found = nash_md_step(
        policy, lambda p: torch.tensor([1.0, 2.0]) * p.exp(), 0.1, reference, tau=0.5
    )
    torch.testing.assert_close(found.exp(), expected / expected.sum())
    with pytest.raises(ValueError, match=r"eta \* tau must be 0 to 1, got 2"):
        nash_md_step(policy, torch.exp, 1.0, reference, tau=2.0)


def test_without_a_pull_both_are_mirror_descent():
    rewards = zero_sum(TILTED)
    plain = mirror_step(START, rewards(START), ETA)
    torch.testing.assert_close(nash_md_step(START, rewards, ETA, UNIFORM, 0.0), plain)
    torch.testing.assert_close(magnetic_step(START, rewards(START), ETA, UNIFORM, 0.0), plain)


def test_extragradient_by_hand():
    """Pennies, rows (p, 1 - p) and columns (q, 1 - q): rewards ±(2q - 1), ∓(2p - 1)."""

    def step(p, q, at_p, at_q):
        odds = [torch.tensor(x / (1 - x)) for x in (p, q)]
        rows = odds[0] * torch.tensor(2 * ETA * (2 * at_q - 1)).exp()
        columns = odds[1] * torch.tensor(-2 * ETA * (2 * at_p - 1)).exp()
        return (rows / (1 + rows)).item(), (columns / (1 + columns)).item()

    start = torch.tensor([[0.7, 0.3], [0.6, 0.4]], dtype=torch.float64).log()
    half = step(0.7, 0.6, 0.7, 0.6)
    expected = step(0.7, 0.6, *half)
    found = extragradient_step(start, zero_sum(PENNIES), ETA).exp()[:, 0]
    torch.testing.assert_close(found.tolist(), list(expected), rtol=1e-6, atol=1e-6)


def test_exploitability_by_hand():
    """Rows always play the first: columns answer with the second, -1; rows would get 1 there."""
    policy = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert exploitability(policy, TILTED).item() == pytest.approx(2.0)
    assert exploitability(TILTED_EQUILIBRIUM, TILTED).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("method", ["optimistic", "extragradient"])
def test_looking_ahead_ends_in_the_equilibrium_and_plain_descent_does_not(method):
    played = self_play(method, TILTED, START, eta=0.3, steps=1000)
    torch.testing.assert_close(played[-1], TILTED_EQUILIBRIUM, rtol=0, atol=1e-6)
    plain = self_play("mirror_descent", TILTED, START, eta=0.3, steps=1000)
    assert exploitability(plain[-200:], TILTED).min() > 0.1


def test_pulled_play_ends_in_the_equilibrium_of_the_regularised_game():
    """There each policy is softmax(log ρ + r / α); Nash-MD's is O(η) from it."""
    alpha = 0.5
    magnetic = self_play("magnetic", TILTED, START, eta=ETA, steps=800, pull=alpha)[-1]
    own = (UNIFORM + zero_sum(TILTED)(magnetic.log()) / alpha).softmax(-1)
    torch.testing.assert_close(own, magnetic, rtol=0, atol=1e-9)
    far = [
        (self_play("nash_md", TILTED, START, eta=eta, steps=800, pull=alpha)[-1] - magnetic).abs()
        for eta in (0.2, 0.1, 0.05)
    ]
    sizes = [x.max().item() for x in far]
    assert sizes[0] > 1.5 * sizes[1] > 2.25 * sizes[2] > 0
    assert sizes[2] < 0.02


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match=r"method must be one of mirror_descent, .*, got 'none'"):
        self_play("none", PENNIES, START, eta=ETA, steps=1)


def test_the_picture_is_drawn_of_what_was_played(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(picture, "STEPS", 40)
    monkeypatch.setattr(sys, "argv", ["convergence", "--output", str(tmp_path / "picture.png")])
    main()
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"
    assert capsys.readouterr().out.strip().endswith("picture.png")
    last, average = picture.curves(PENNIES, "mirror_descent", steps=10)
    assert len(last) == len(average) == 11
    torch.testing.assert_close(last[0], average[0])
