"""Mirror methods beside optimism, for tabular policies: extragradient, Nash-MD, a magnet.

Exact steps of softmax policies in their logits, as those of mirror_descent, for rewards that depend
on what all players do.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from objectives.mirror_descent import mirror_step, optimistic_step

# From the log-policies of all players, (..., A), to the rewards of their actions, (..., A).
Rewards = Callable[[Tensor], Tensor]


def extragradient_step(log_policy: Tensor, rewards: Rewards, eta: float) -> Tensor:
    """Return the next log-policies of mirror-prox: a step by the rewards that a step ahead has.

    Source: Korpelevich 1976, Nemirovski 2004. `log π_{t+1/2} = log π_t + η r(π_t)`, then
    `log π_{t+1} = log π_t + η r(π_{t+1/2})`, normalised. The look-ahead that optimism predicts is
    computed: rewards are asked for twice.

    log_policy: (..., A) of all players, normalised. rewards: of all players' actions, to maximise.
    """
    half = mirror_step(log_policy, rewards(log_policy), eta)
    return mirror_step(log_policy, rewards(half), eta)


def nash_md_step(
    log_policy: Tensor, rewards: Rewards, eta: float, log_reference: Tensor, tau: float
) -> Tensor:
    """Return the next log-policies of Nash mirror descent (arXiv 2312.00886).

    From the geometric mixture `π^μ ∝ π^{1-ητ} μ^{ητ}`, `log π_{t+1} = log π^μ + η r(π^μ)`: its last
    iterate comes within O(η / τ) in KL of the equilibrium of the game with `-τ KL(π || μ)`.

    log_policy: (..., A) of all players, normalised. rewards: as in `extragradient_step`.
    log_reference: (..., A) log μ. tau: τ, strength of the pull to μ; η τ at most 1.
    Raises ValueError for an η τ above 1.
    """
    if not 0 <= eta * tau <= 1:
        raise ValueError(f"nash_md_step: eta * tau must be 0 to 1, got {eta * tau:g}")
    mixture = torch.log_softmax(log_policy.lerp(log_reference, eta * tau), -1)
    return mirror_step(mixture, rewards(mixture), eta)


def magnetic_step(
    log_policy: Tensor, reward: Tensor, eta: float, log_magnet: Tensor, alpha: float
) -> Tensor:
    """Return the next log-policies of magnetic mirror descent (arXiv 2206.05825).

    `log π_{t+1} = (log π_t + η r + η α log ρ) / (1 + η α)`, the maximum of
    `<r, π> - α KL(π || ρ) - KL(π || π_t) / η`. For a fixed magnet ρ its last iterate converges to
    the equilibrium of the game with `-α KL(π || ρ)`: π = softmax(log ρ + r(π) / α).

    log_policy, reward, log_magnet: (..., A). alpha: α, strength of the magnet; 0 or more.
    """
    return torch.log_softmax(
        (log_policy + eta * (reward + alpha * log_magnet)) / (1 + eta * alpha), -1
    )


def zero_sum(payoff: Tensor) -> Rewards:
    """Return the rewards of a zero-sum matrix game, of log-policies (2, A): rows', columns' player.

    payoff: (A, A), what the player of rows gets, for each action of both.
    """

    def rewards(log_policy: Tensor) -> Tensor:
        rows, columns = log_policy.exp()
        return torch.stack([payoff @ columns, -(payoff.T @ rows)])

    return rewards


def exploitability(policy: Tensor, payoff: Tensor) -> Tensor:
    """Return what both players' best answers gain together, (..., 2, A) -> (...); 0 in equilibrium.

    policy: probabilities of rows' and columns' player. payoff: (A, A), as in `zero_sum`.
    """
    rows, columns = policy.unbind(-2)
    return (columns @ payoff.T).amax(-1) - (rows @ payoff).amin(-1)


def self_play(
    method: str, payoff: Tensor, start: Tensor, *, eta: float, steps: int, pull: float = 0.1
) -> Tensor:
    """Return the policies that both players had, (steps + 1, 2, A), playing a method of METHODS.

    start: (2, A) log-policies. eta: step size. pull: τ of nash_md and α of magnetic, both towards
    the uniform policy.
    """
    rewards, uniform = zero_sum(payoff), torch.zeros_like(start).log_softmax(-1)
    policy, previous, played = start, torch.zeros_like(start), [start]
    for _ in range(steps):
        reward = rewards(policy)
        if method == "mirror_descent":
            policy = mirror_step(policy, reward, eta)
        elif method == "optimistic":
            policy = optimistic_step(policy, reward, previous, eta)
        elif method == "extragradient":
            policy = extragradient_step(policy, rewards, eta)
        elif method == "nash_md":
            policy = nash_md_step(policy, rewards, eta, uniform, pull)
        elif method == "magnetic":
            policy = magnetic_step(policy, reward, eta, uniform, pull)
        else:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        previous = reward
        played.append(policy)
    return torch.stack(played).exp()


METHODS = ("mirror_descent", "optimistic", "extragradient", "nash_md", "magnetic")
