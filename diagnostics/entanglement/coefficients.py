"""The coefficients by which an objective weighs chosen and rejected gradients."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from objectives import Batch
from objectives.batch import lengths, masked
from objectives.future import at_future, at_policy


class PairCoefficients(NamedTuple):
    """Of N pairs, (N,) each: the objective's gradient is `-(c_w ∇s_w - c_l ∇s_l)`."""

    chosen: Tensor  # c_w
    rejected: Tensor  # c_l

    @property
    def ratio(self) -> Tensor:
        """`c_l / c_w`: inf where only the rejected is weighed, nan where c_w < 0 or both are 0.

        With a negative c_w the chosen is pushed down, and no window applies.
        """
        ratio = self.rejected / self.chosen
        return torch.where((self.chosen > 0) | (self.chosen == 0), ratio, torch.nan)


def token_coefficients(
    objective: Callable[..., Tensor], log_probs: Tensor, batch: Batch, **hyper
) -> Tensor:
    """Return `c = -∂L/∂(log-probs)`, (B, T), 0 in padding, L the sum of the units' losses.

    objective: of `objectives`, a future-policy form included: its c is then the one it uses.
    log_probs: (B, T), where c is evaluated.
    """

    def total(values: Tensor) -> Tensor:
        return objective(values, batch, **hyper).sum()

    return masked(-torch.func.grad(total)(log_probs.detach()), batch.mask)


def pair_coefficients(
    objective: Callable[..., Tensor], log_probs: Tensor, batch: Batch, **hyper
) -> PairCoefficients:
    """Return each pair's (c_w, c_l), as if it were alone in the batch.

    c_w is the mean of the chosen row's token coefficients, c_l minus that of the rejected row's.
    They are constant over a row's tokens for every objective of sums or means of log-probs, and
    then this is exact; for others (granularity token, grpo, omd) it is their mean.

    objective: as in `token_coefficients`; for one on trajectories, each pair's two rows.
    Raises ValueError where the batch has no pairs.
    """
    if batch.pairs is None:
        raise ValueError("pair_coefficients needs batch.pairs, which is None")
    # Two rows for each pair, so that none adds to another's.
    index = rearrange(batch.pairs, "pair side -> (pair side)")
    own = torch.arange(len(index), device=index.device).view_as(batch.pairs)
    alone = batch.rows(index)._replace(pairs=own)
    tokens = token_coefficients(objective, log_probs[index], alone, **hyper)
    means = tokens.sum(-1) / lengths(alone.mask)
    chosen, rejected = rearrange(means, "(pair side) -> side pair", side=2)
    return PairCoefficients(chosen, -rejected)


def coefficients_now_and_ahead(
    objective: Callable[..., Tensor], policy: Tensor, batch: Batch, **hyper
) -> tuple[PairCoefficients, PairCoefficients]:
    """Return an objective's pair coefficients at θ and at the future policy.

    The second is what its future-policy form uses (arXiv 2509.19893). Given that form, the
    coefficients are those of the objective it was made from.

    policy: (B, T) log-probs at θ. Raises ValueError where batch.future or batch.pairs is missing.
    """
    if batch.future is None:
        raise ValueError("the coefficients ahead need batch.future, which is None")
    loss = getattr(objective, "loss", objective)
    base = at_policy(loss)
    if base is not None:
        loss = base
        hyper = {name: value for name, value in hyper.items() if name != "apply_to"}
    return (
        pair_coefficients(loss, policy, batch, **hyper),
        pair_coefficients(loss, batch.future, at_future(batch), **hyper),
    )
