"""Objectives over pairs that read log-ratios as dpo does, with another loss or another scale."""

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from objectives.batch import Batch, log_prob_mean, log_ratio_sum
from objectives.contract import per_pair
from objectives.domains import Domain, Positive
from objectives.future import future_policy
from objectives.preference import sides

# At one half there is no telling which side is which; at 0 exo's divergence has no bound.
SomeFlips = Annotated[float, Domain(least=0, most=0.49)]
AnyFlips = Annotated[float, Domain(above=0, most=0.49)]


@per_pair("reference")
def robust_dpo(
    policy: Tensor, batch: Batch, *, beta: Positive = 0.1, label_smoothing: SomeFlips = 0.1
) -> Tensor:
    """DPO whose mean loss is unbiased where a known share of pairs is flipped (arXiv 2403.00409).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    label_smoothing: ε, share of flipped pairs; 0 is dpo.
    Loss (P,): `(-(1 - ε) log σ(β Δ) + ε log σ(-β Δ)) / (1 - 2ε)`, `Δ = d_w - d_l`. Its push does
    not fade as dpo's does, but stays above `β ε / (1 - 2ε)`: the opposite of what FPA does to it.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    margin, flips = beta * (chosen - rejected), label_smoothing
    return (flips * logsigmoid(-margin) - (1 - flips) * logsigmoid(margin)) / (1 - 2 * flips)


fpa_robust_dpo = future_policy(robust_dpo)


@per_pair("reference")
def dpo_norm(policy: Tensor, batch: Batch, *, beta: Positive = 5.0) -> Tensor:
    """Length-normalised DPO: mean log-ratios in the place of their sums (arXiv 2411.15124).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    Loss (P,): `-log σ(β (d_w / n_w - d_l / n_l))`. Longer trajectories push no harder, so that
    c_l / c_w is n_w / n_l, as simper's would be at equal probabilities; FPA changes both alike.
    """
    chosen, rejected = sides(log_prob_mean(policy - batch.reference, batch.mask), batch)
    return -logsigmoid(beta * (chosen - rejected))


fpa_dpo_norm = future_policy(dpo_norm)


@per_pair("reference")
def hinge(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """Hinge loss of the log-ratios' difference: SLiC as RSO has it (arXiv 2309.06657).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    Loss (P,): `max(0, 1 - β (d_w - d_l))`. Its push is constant until the margin is met, and then
    none: FPA of it stops as soon as the margin will be met.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    return torch.relu(1 - beta * (chosen - rejected))


fpa_hinge = future_policy(hinge)


@per_pair("reference")
def exo(
    policy: Tensor, batch: Batch, *, beta: Positive = 0.1, label_smoothing: AnyFlips = 1e-3
) -> Tensor:
    """Reverse KL of the pair's implied preference from the smoothed labels (arXiv 2402.00856).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    label_smoothing: ε, what the labels leave to the rejected one.
    Loss (P,), `q = σ(β (d_w - d_l))`: `q log(q / (1 - ε)) + (1 - q) log((1 - q) / ε)`. Its push
    fades as the margin grows, and turns beyond the labels' own; FPA of it turns earlier.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    margin = beta * (chosen - rejected)
    right = margin.sigmoid() * (logsigmoid(margin) - math.log1p(-label_smoothing))
    return right + (-margin).sigmoid() * (logsigmoid(-margin) - math.log(label_smoothing))


fpa_exo = future_policy(exo)


@per_pair("reference")
def nca(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """Noise contrastive alignment of a pair: each side against the reference (arXiv 2402.05369).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    Loss (P,): `-log σ(β d_w) - (log σ(-β d_w) + log σ(-β d_l)) / 2`. It pushes the chosen back down
    once that is far above the reference, and holds its likelihood up below it, which FPA leaves to
    the weights of either side.
    """
    chosen, rejected = sides(beta * log_ratio_sum(policy, batch), batch)
    return -logsigmoid(chosen) - (logsigmoid(-chosen) + logsigmoid(-rejected)) / 2


fpa_nca = future_policy(nca)


@per_pair("reference")
def bco(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """Tell chosen and rejected from the reference by two classifiers of one (arXiv 2404.04656).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    Loss (P,): `-log σ(β d_w) - log σ(-β d_l)`, the paired form without the source's reward shift.
    Either side's push fades by its own log-ratio: c_l falls with the rejected alone, as FPA's does,
    while dpo's falls with the margin of both.
    """
    chosen, rejected = sides(beta * log_ratio_sum(policy, batch), batch)
    return -logsigmoid(chosen) - logsigmoid(-rejected)


fpa_bco = future_policy(bco)


@per_pair("reference")
def sppo_hard(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """Self-play preference optimisation with preferences of 0 and 1 (arXiv 2405.00675).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference (default of TRL; the source has .001).
    Loss (P,): `(d_w - 1/(2β))² + (d_l + 1/(2β))²`. Each side's push ends at a target of its own,
    where FPA's ends by the probability ahead; FPA of it is there one look ahead sooner.
    """
    chosen, rejected = sides(log_ratio_sum(policy, batch), batch)
    return (chosen - 1 / (2 * beta)).square() + (rejected + 1 / (2 * beta)).square()


fpa_sppo_hard = future_policy(sppo_hard)


@per_pair("reference")
def apo_down(policy: Tensor, batch: Batch, *, beta: Positive = 0.1) -> Tensor:
    """Push both sides down, the rejected further: for chosen ones that are poor (arXiv 2408.06266).

    policy: (B, T) token log-probs.
    beta: strength of the pull to the reference.
    Loss (P,): `σ(β d_w) + 1 - σ(β (d_w - d_l))`. It lowers on purpose what entanglement lowers by
    accident, so neither the window nor FPA's aim is its own.
    """
    chosen, rejected = sides(beta * log_ratio_sum(policy, batch), batch)
    return chosen.sigmoid() + (rejected - chosen).sigmoid()


fpa_apo_down = future_policy(apo_down)
