"""The exact mirror-descent family on tabular policies, and the training objective beside it."""

import pytest
import torch

from objectives import (
    TwoSequence,
    mirror_step,
    omd,
    optimistic_step,
    two_sequence_play,
    two_sequence_update,
)
from objectives.batch import log_prob_mean
from tests.helpers.zoo import loss_and_gradient, random_batch

ETA = 0.1
PENNIES = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
ROCK_PAPER_SCISSORS = torch.tensor(
    [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64
)


def test_two_sequences_play_what_one_does():
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    start = torch.randn(4, generator=generator, dtype=torch.float64).log_softmax(-1)
    state = TwoSequence(start, torch.zeros_like(start))
    single, previous = start, torch.zeros_like(start)
    for reward in rewards:
        torch.testing.assert_close(two_sequence_play(state, ETA), single)
        state = two_sequence_update(state, reward, ETA)
        single, previous = optimistic_step(single, reward, previous, ETA), reward


def play(payoff, optimistic, steps):
    """Return the distance of both players' policies from uniform over self-play."""
    size = len(payoff)
    start = torch.linspace(0.4, -0.4, size, dtype=torch.float64).log_softmax(-1)
    players, previous = [start, start.flip(0)], [torch.zeros_like(start)] * 2
    distances = []
    for _ in range(steps):
        x, y = (player.exp() for player in players)
        rewards = [payoff @ y, -payoff.T @ x]
        distances.append(max((p.exp() - 1 / size).abs().max().item() for p in players))
        if optimistic:
            players = [
                optimistic_step(p, r, old, ETA)
                for p, r, old in zip(players, rewards, previous, strict=True)
            ]
        else:
            players = [mirror_step(p, r, ETA) for p, r in zip(players, rewards, strict=True)]
        previous = rewards
    return distances


@pytest.mark.parametrize("payoff", [PENNIES, ROCK_PAPER_SCISSORS], ids=["pennies", "rps"])
def test_last_iterate_converges_with_optimism_alone(payoff):
    optimistic, plain = play(payoff, True, 4000), play(payoff, False, 4000)
    assert optimistic[-1] < 1e-3
    assert min(plain[-500:]) > 0.1  # still circling
    assert max(plain[-500:]) > max(plain[:500])  # and further out than it began


def test_the_step_maximises_what_the_objective_penalises():
    """optimistic_step = argmin of -<2r - r', π> + KL(π || π_t) / η, found numerically."""
    generator = torch.Generator().manual_seed(1)
    policy = torch.randn(4, generator=generator, dtype=torch.float64).log_softmax(-1)
    reward, previous = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    logits = policy.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        new = logits.log_softmax(-1)
        divergence = (new.exp() * (new - policy)).sum()
        loss = -(new.exp() * (2 * reward - previous)).sum() + divergence / 0.7
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = optimistic_step(policy, reward, previous, 0.7)
    torch.testing.assert_close(logits.log_softmax(-1).detach(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("optimistic", [True, False])
def test_objective_s_gradient_at_its_anchor(optimistic):
    """There the squares are flat: -(2c - c') / n per token, or -c / n without optimism."""
    policy, batch = random_batch()
    batch = batch._replace(anchor=policy.clone())
    _, gradient = loss_and_gradient(omd, policy, batch, optimistic=optimistic)
    now, before = (
        batch.reward * log_prob_mean(x, batch.mask).exp() for x in (policy, batch.previous_anchor)
    )
    credit = (2 * now - before if optimistic else now) / batch.mask.sum(1)
    torch.testing.assert_close(gradient, torch.where(batch.mask, -credit[:, None], 0.0))
