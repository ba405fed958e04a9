"""The likelihood guard: any objective, held from lowering what is correct below the reference."""

import inspect

import torch
from torch import Tensor

from objectives.batch import Batch, log_prob_mean, masked
from objectives.catalogue import GUARD
from objectives.contract import Hyper, Loss, check, finished
from objectives.docstrings import parameter_help
from objectives.domains import Domain, NonNegative, check_domains
from objectives.transform import Entry, Transform, declared

SOURCE = "2512.04220"


def guarded(
    objective: Loss[Hyper] | Entry[Hyper], guard: float = 0.1, *, name: str | None = None
) -> "GuardedLoss[Hyper]":
    """Return the objective plus a penalty where correct trajectories fall below the reference.

    Source: arXiv 2512.04220 (LLDS, second version), made for GRPO; for other objectives it is our
    use of it. Each unit's loss gets `guard · mean_t max(0, log π_ref(y_t) - log π_θ(y_t))` of its
    correct trajectory: the chosen of a pair, a trajectory of a reward above 0. A token at or above
    the reference is left alone, so that the gradient at the reference is the objective's own.

    objective: any objective of this package, an entry of OBJECTIVES, one declared with per_pair or
    per_trajectory, a form of `future_policy`, or a functools.partial of one of these with keywords.
    guard: weight of the penalty on correct tokens that fall below the reference.
    name: how it is called, `guarded_` and the name of the objective unless given.
    Returns an objective with the unit and hyper-parameters of the one given and the keyword
    `guard`. `future_policy` of it looks at the future policy for the penalty too; it of a
    future-policy form at the policy itself. Raises ValueError for what is no objective, and where
    batch.reference is missing, or the reward that tells the sides apart.
    """
    return GuardedLoss(declared(objective, "guarded"), guard, name)


class GuardedLoss(Transform[Hyper]):
    """An objective with the likelihood guard: an objective with one keyword more."""

    prefix = GUARD
    keyword = "guard"
    kind = NonNegative

    def __init__(self, base: Loss[Hyper], guard: float = 0.1, name: str | None = None):
        self.guard = guard
        text = parameter_help(inspect.getdoc(guarded) or "")["guard"]
        summary = f"{base.__name__} with a penalty where what is correct falls below the reference"
        needs = ("reference",) if base.unit == "pair" else ("reward", "reference")
        super().__init__(base, needs, name, f"{summary} (arXiv {SOURCE}).", text)

    # In truth `guard` is keyword-only, which cannot be said beside another's parameters.
    def __call__(
        self,
        policy: Tensor,
        batch: Batch,
        guard: float | None = None,
        *args: Hyper.args,
        **hyper: Hyper.kwargs,
    ) -> Tensor:
        weight = self.guard if guard is None else guard
        check_domains(self.__name__, {"guard": Domain(least=0)}, {"guard": weight})
        check(policy, batch, self.needs, self.__name__)
        losses = self.base(policy, batch, *args, **hyper)
        penalty = _below_reference(policy, batch)
        if self.unit == "pair":
            penalty = penalty[batch.pairs[:, 0]]
        else:
            penalty = torch.where(batch.reward > 0, penalty, 0.0)
        return losses + weight * finished(penalty, self.unit, batch, self.__name__)

    def __repr__(self) -> str:
        return f"<objective {self.__name__}, {self.base.__name__} with the likelihood guard>"


def _below_reference(policy: Tensor, batch: Batch) -> Tensor:
    """Return how far tokens fall below the reference, mean over each row, (B, T) -> (B,)."""
    reference = masked(batch.reference.detach(), batch.mask)
    return log_prob_mean(torch.relu(reference - masked(policy, batch.mask)), batch.mask)
