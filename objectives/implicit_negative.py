"""NFT: incorrect trajectories teach by the policy that would have made them."""

from typing import Annotated

import torch
from torch import Tensor

from objectives.batch import Batch, lengths
from objectives.contract import per_trajectory
from objectives.domains import Domain, Positive
from objectives.future import future_policy

LOG_RATIO_LIMIT = 10.0  # above which a ratio no longer grows, as in the source's code
Margin = Annotated[float, Domain(above=0, most=0.5)]


@per_trajectory("reward", "anchor", "solve_rate")
def nft(policy: Tensor, batch: Batch, *, floor: Positive = 1.0, margin: Margin = 0.02) -> Tensor:
    """Fit correct and incorrect trajectories by one policy, Negative-aware FT (arXiv 2505.18116).

    policy: (B, T) token log-probs; batch.anchor: log-probs under the policy that sampled;
    batch.solve_rate: p, the share of the prompt's trajectories that are correct.
    floor: ε, what the implicit negative policy's ratio is held above, in value, not in gradient.
    margin: p is held in [margin, 1 - margin].
    Loss (B,), with `ρ_t = π_θ / π_sampled`: `(1 - p) mean_t -log ρ_t` where r > 0, else
    `(1 - p) mean_t -log max(ε, (1 - p ρ_t) / (1 - p))`. Its push down is `p ρ_t / max(...)`, which
    ends by itself as ρ_t falls; FPA makes any objective's so, and looks ahead besides. The mean
    over tokens is assumed by us: the source sums, and divides by a constant.
    """
    p = batch.solve_rate.clamp(margin, 1 - margin)[:, None]
    log_ratio = torch.where(batch.mask, policy - batch.anchor, 0.0)
    negative = (1 - p * log_ratio.clamp(max=LOG_RATIO_LIMIT).exp()) / (1 - p)
    held = negative + (negative.clamp(min=floor) - negative).detach()
    tokens = torch.where(batch.reward[:, None] > 0, -log_ratio, -held.log())
    return ((1 - p) * torch.where(batch.mask, tokens, 0.0)).sum(-1) / lengths(batch.mask)


fpa_nft = future_policy(nft)
