"""The weights that an objective gives a pair's gradients, on pairs that are set up for it."""

import inspect
from typing import NamedTuple

import torch
from torch import Tensor

from objectives.batch import Batch
from objectives.contract import Loss
from objectives.future import at_policy
from objectives.transform import Transform

LENGTH = 20  # tokens of either side
REFERENCE = -0.5  # mean log-prob of either side under the reference
MARGINS = torch.linspace(0, 3, 13).tolist()  # by which the rejected has fallen
FALLS = torch.linspace(0, 3, 13).tolist()  # by which both have


class Coefficients(NamedTuple):
    """The gradient of a pair's loss is `-(c_w ∇s_w - c_l ∇s_l)`, s the sums of log-probs."""

    chosen: float  # c_w
    rejected: float  # c_l

    @property
    def ratio(self) -> float:
        """c_l / c_w; inf where c_w is 0 and nan where it is below or both are."""
        if self.chosen > 0:
            return self.rejected / self.chosen
        return float("inf") if self.chosen == 0 and self.rejected > 0 else float("nan")


def coefficients(
    loss: Loss, chosen: float, rejected: float, *, lam: float | None = None
) -> Coefficients:
    """Return an objective's (c_w, c_l) on a pair of a correct and an incorrect trajectory.

    Of a future-policy form, those of the objective that it is a form of. Each side has LENGTH
    tokens of one log-prob, REFERENCE under the reference and the anchors; KTO's z0 is 0, rewards
    are 1 and -1, half of the prompt's trajectories are correct, and two draws of a token agree as
    often as the token is drawn.

    chosen, rejected: log-probs of the sides' tokens. lam: λ, to take the coefficients at
    `log π + λ (log π - log π_ref)`, the future policy but for its normaliser; None: at the policy.
    """
    loss = at_policy(loss) or loss
    shape = torch.float64
    here = torch.tensor([[chosen], [rejected]], dtype=shape).expand(2, LENGTH).contiguous()
    reference = torch.full_like(here, REFERENCE)
    place = here if lam is None else (here + lam * (here - reference)).clamp(max=0)
    row = torch.ones(2, dtype=shape)
    known = {
        "mask": torch.ones(2, LENGTH, dtype=torch.bool),
        **dict.fromkeys(("reference", "anchor", "previous_anchor"), reference),
        "future": place,
        **dict.fromkeys(("collision", "future_collision"), place.detach()),
        "reward": torch.tensor([1.0, -1.0], dtype=shape),
        "group": torch.zeros(2, dtype=torch.long),
        "pairs": torch.tensor([[0, 1]]),
        "divergence": 0 * row,
        "mean_length": LENGTH * row,
        "solve_rate": 0.5 * row,
        "future_divergence": 0 * reference,  # its own gradient is no side's
    }
    batch = Batch(**known)
    slope = torch.func.grad(lambda values: loss(values, batch).sum())(place)
    of_chosen, of_rejected = (-slope).mean(-1).tolist()
    return Coefficients(of_chosen + 0.0, 0.0 - of_rejected)


class Window(NamedTuple):
    """Between which c_l / c_w a step raises the chosen and lowers the rejected."""

    low: float
    high: float

    def regime(self, ratio: float) -> str:
        """Return what a step does, to first order: `ideal`, `both up` or `both down`."""
        if not ratio >= 0:
            return "-"
        if ratio <= self.low:
            return "both up"
        return "both down" if ratio >= self.high else "ideal"


def window(cosine: float, norm_ratio: float) -> Window:
    """Return the window of c_l / c_w for two gradients (arXiv 2410.13828).

    cosine: of the gradients of s_w and s_l, -1 to 1. norm_ratio: ‖∇s_w‖ / ‖∇s_l‖, above 0. Where
    the cosine is 0 or less every ratio is ideal: 0 to inf.
    """
    if cosine <= 0:
        return Window(-1.0, float("inf"))
    return Window(cosine * norm_ratio, norm_ratio / cosine)


def formula(loss: Loss) -> str:
    """Return what a docstring says of the loss, from `Loss (` on; empty where it says nothing.

    Of a form, what that of the objective says which it was made from.
    """
    while isinstance(loss, Transform):
        loss = loss.base
    text = inspect.getdoc(loss) or ""
    _, found, rest = text.partition("Loss (")
    return " ".join((found + rest.split("\n\n")[0]).split())


def on_margins(loss: Loss, lam: float | None = None) -> list[Coefficients]:
    """Return coefficients where the rejected alone is below the reference, by MARGINS."""
    return [coefficients(loss, REFERENCE, REFERENCE - x, lam=lam) for x in MARGINS]


def on_falls(loss: Loss, lam: float | None = None) -> list[Coefficients]:
    """Return coefficients where both are below the reference, by FALLS, the rejected by 1 more."""
    return [coefficients(loss, REFERENCE - x, REFERENCE - x - 1, lam=lam) for x in FALLS]


def columns(values: list[Coefficients]) -> Tensor:
    """Return (2, N): c_w, c_l."""
    return torch.tensor(values, dtype=torch.float64).T
