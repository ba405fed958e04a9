"""Random batches for the tests that run over every objective of the zoo."""

import torch

from objectives import OBJECTIVES, Batch

NAMES = list(OBJECTIVES)
GUARDED = ["guarded_dpo", "guarded_offline_rl", "guarded_fpa", "guarded_grpo", "fpa_guarded_dpo"]
FPA_NAMES = [name for name in NAMES if hasattr(OBJECTIVES[name].loss, "base")]


def random_batch(rows=6, length=7, seed=0, dtype=torch.float64, at_reference=False):
    """Return policy log-probs (B, T) and a batch with every field filled, ragged lengths."""
    generator = torch.Generator().manual_seed(seed)

    def log_probs():
        return -2 * torch.rand(rows, length, generator=generator, dtype=dtype)

    lengths = torch.randint(2, length + 1, (rows,), generator=generator)
    policy = log_probs()
    reference = policy.clone() if at_reference else log_probs()
    others = [policy.clone() if at_reference else log_probs() for _ in range(3)]
    future_collision = log_probs()
    collision = future_collision if at_reference else log_probs()
    batch = Batch(
        mask=torch.arange(length) < lengths[:, None],
        reference=reference,
        future=others[0],
        anchor=others[1],
        previous_anchor=others[2],
        collision=collision,
        future_collision=future_collision,
        reward=torch.tensor([1.0, -1.0], dtype=dtype).repeat(rows // 2),
        group=torch.arange(rows) // 2,
        weight=torch.ones(rows, dtype=dtype),
        pairs=torch.arange(rows).view(-1, 2),
        divergence=torch.full((rows,), 0.0 if at_reference else 0.3, dtype=dtype),
        mean_length=torch.full((rows,), lengths.double().mean().item(), dtype=dtype),
        solve_rate=torch.full((rows,), 0.4, dtype=dtype),
        future_divergence=-0.1 * log_probs() * (not at_reference),
    )
    return policy, batch


def loss_and_gradient(objective, policy, batch, **hyper):
    """Return an objective's losses and the gradient of their sum with respect to the policy."""
    policy = policy.clone().requires_grad_()
    loss = objective(policy, batch, **hyper)
    (gradient,) = torch.autograd.grad(loss.sum(), policy)
    return loss.detach(), gradient
