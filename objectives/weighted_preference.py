"""WPO: pairs weighed by how probable both trajectories are under the policy as it is."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from objectives.batch import Batch, log_prob_mean, log_ratio_sum
from objectives.contract import per_pair
from objectives.domains import Positive
from objectives.future import future_policy
from objectives.preference import sides


@per_pair("reference", "collision")
def wpo_dpo(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """DPO with each pair weighed by its probability under the policy: WPO (arXiv 2406.11827).

    policy: (B, T) token log-probs; batch.collision: log Σ_v π_θ(v)² at each position, what a token
    drawn from the policy itself has in the mean.
    beta: strength of the pull to the reference.
    Loss (P,): `-sg(w_w w_l) log σ(β (d_w - d_l))`, `log w = mean_t (log π_θ(y_t) - log Σ_v π_v²)`.
    The nearest published weight to FPA's: a rejected trajectory that grew improbable weighs less,
    but at the policy as it is, not ahead of it, and the chosen one's weight falls as well. Its
    future-policy form takes both from the future policy.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    likely = log_prob_mean(policy.detach() - batch.collision, batch.mask)
    weight = (likely[batch.pairs[:, 0]] + likely[batch.pairs[:, 1]]).exp()
    return -weight * logsigmoid(beta * (chosen - rejected))


fpa_wpo_dpo = future_policy(wpo_dpo)
