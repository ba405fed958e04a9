"""The future policy as a teacher: objectives that are drawn towards where the policy is heading."""

from torch import Tensor

from objectives.batch import Batch, lengths
from objectives.contract import per_trajectory
from objectives.domains import NonNegative, Positive
from objectives.future import future_policy
from objectives.likelihood import Granularity, mean_probability, weighted_reward
from objectives.policy_gradient import Aggregate, Length, aggregated, clipped_losses


@per_trajectory("reward", "future_divergence")
def rise(
    policy: Tensor,
    batch: Batch,
    *,
    coefficient: NonNegative = 0.1,
    granularity: Granularity = "trajectory",
    positive_weight: NonNegative = 1.0,
    negative_weight: NonNegative = 1.0,
) -> Tensor:
    """Draw the policy towards its own future policy, beside offline_rl: RISE (arXiv 2609.05295).

    policy: (B, T) token log-probs; batch.future_divergence: (B, T) of π_θ from the future policy
    `π̂ = softmax((1+λ) h_θ - λ h_ref)`, kl or js; what is trained is trained through it, too.
    coefficient: weight of the divergence from the future policy.
    granularity: mean p̄ of the token probabilities: geometric (trajectory) or arithmetic (token).
    positive_weight: factor of the reward where it is above 0.
    negative_weight: factor of the other rewards.
    Loss (B,): `-w r p̄ + coefficient mean_t D(π_θ || sg(π̂))`.

    RISE finds λ of .2 to .5 stable and λ = 1 divergent, and that the λ which is safe shrinks as
    training goes on. Why can be seen of kl: with π̂ held constant, which is assumed by us as are
    the base and the coefficient, its gradient is `-λ ∇KL(π_θ || π_ref)`, so that it pushes away
    from the reference, the harder the further the policy has gone; λ and the coefficient count as
    their product. FPA uses the same π̂ to the opposite end: as the place where weights are taken,
    it is a brake against leaving the reference. fpa_rise does both.
    """
    reward = weighted_reward(batch, positive_weight, negative_weight)
    apart = batch.future_divergence.sum(-1) / lengths(batch.mask)
    return -reward * mean_probability(policy, batch.mask, granularity) + coefficient * apart


fpa_rise = future_policy(rise)


@per_trajectory("reward", "anchor", "future_divergence")
def rise_grpo(
    policy: Tensor,
    batch: Batch,
    *,
    coefficient: NonNegative = 0.1,
    clip: Positive = 0.2,
    clip_high: Positive | None = None,
    aggregate: Aggregate = "sequence",
    constant_length: Length | None = None,
) -> Tensor:
    """Draw the policy towards its own future policy, beside grpo: RISE (arXiv 2609.05295).

    policy: (B, T) token log-probs; batch.future_divergence as in rise, which says what is known of
    λ and how it relates to FPA; the other fields as in grpo.
    coefficient: weight of the divergence from the future policy.
    clip: how far the ratio may leave 1 before it is clipped.
    clip_high: how far it may rise above 1, where that differs from clip (DAPO).
    aggregate: what a row's sum over tokens, of the divergence too, is divided by: its own length
    (sequence), the mean length of the optimizer batch (token), or constant_length (constant).
    constant_length: the divisor where aggregate is constant.
    Loss (B,): `Σ_t (coefficient D_t - min(ρ_t A, clip(ρ_t) A)) / length`, D_t as in rise.
    """
    losses = clipped_losses(policy, batch, clip, clip_high)
    return aggregated(
        losses + coefficient * batch.future_divergence, batch, aggregate, constant_length
    )


fpa_rise_grpo = future_policy(rise_grpo)
