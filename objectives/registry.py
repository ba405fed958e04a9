"""The zoo: every objective by name. Adding one takes its function and one entry here."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torch import Tensor

from objectives import likelihood, mirror_descent, policy_gradient, preference, unpaired
from objectives.batch import Batch
from objectives.contract import Loss
from objectives.future import future_policy

LOG_2 = math.log(2)
AtReference = Callable[[Tensor, Batch, Mapping], Tensor | float]


@dataclass(frozen=True)
class Objective:
    """An objective and what a harness must know to train with it.

    at_reference(mean, batch, hyper): the loss of each unit in closed form where the policy is the
    reference; mean (B,) is the mean token log-prob of each row. None where the loss is itself
    nothing but that closed form.
    """

    loss: Loss
    source: str  # arXiv id, empty for folklore
    at_reference: AtReference | None = None
    advantage: str = "plus_minus_one"  # what batch.reward holds, a key of ADVANTAGES
    only_correct: bool = False  # rows with other rewards contribute nothing: leave them out
    settings: Mapping[str, float] = field(default_factory=dict)  # read by whoever fills the batch

    def __call__(self, policy: Tensor, batch: Batch, **hyper) -> Tensor:
        return self.loss(policy, batch, **hyper)

    @property
    def name(self) -> str:
        return self.loss.__name__

    @property
    def unit(self) -> str:
        """`pair` or `trajectory`: what one loss belongs to."""
        return self.loss.unit

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of Batch that are read besides `mask`."""
        return self.loss.needs

    @property
    def hyper_parameters(self) -> dict[str, inspect.Parameter]:
        """Keyword-only parameters of the loss, with defaults and annotations."""
        parameters = inspect.signature(self.loss).parameters
        return {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        return inspect.getdoc(self.loss).split("\n")[0]


def _mean_of(side: int, mean: Tensor, batch: Batch) -> Tensor:
    return mean[batch.pairs[:, side]]


_BASE = [
    Objective(likelihood.sft, "", only_correct=True),
    Objective(likelihood.reinforce, "2503.14286"),
    Objective(likelihood.offline_rl, "2509.19893"),
    Objective(preference.dpo, "2305.18290", lambda m, b, h: LOG_2),
    Objective(preference.ipo, "2310.12036", lambda m, b, h: 1 / (2 * h["tau"]) ** 2),
    Objective(preference.rpo, "2404.19733", lambda m, b, h: LOG_2 - h["alpha"] * _mean_of(0, m, b)),
    Objective(
        unpaired.kto,
        "2402.01306",
        lambda m, b, h: (
            (b.reward > 0) * h["desirable_weight"] / 2
            + (b.reward <= 0) * h["undesirable_weight"] / 2
        ),
    ),
    Objective(preference.simper, "2502.00883"),
    Objective(preference.simpo, "2405.14734"),
    Objective(preference.orpo, "2403.07691"),
    Objective(preference.dpop, "2402.13228", lambda m, b, h: LOG_2),
    Objective(preference.apo_zero, "2408.06266", lambda m, b, h: 1.0),
    Objective(likelihood.topr, "2503.14286", lambda m, b, h: -b.reward * m),
    Objective(preference.gate_dpo, "2605.02626", lambda m, b, h: LOG_2),
    Objective(likelihood.awr, "1910.00177", advantage="group_centred"),
    Objective(
        mirror_descent.omd,
        "1311.1869",
        lambda m, b, h: -b.reward * m.exp() * m,
        settings={"period": 10},
    ),
    Objective(
        policy_gradient.grpo,
        "2402.03300",
        lambda m, b, h: -b.reward if h["aggregate"] == "sequence" else None,
        advantage="group_normalised",
        settings={"period": 0},
    ),
]

FPA_SOURCE = "2509.19893"
# Their coefficients do not depend on the policy, so the future policy changes nothing.
_CONSTANT_COEFFICIENTS = {"sft", "reinforce", "awr"}


def _fpa(base: Objective) -> Objective:
    """Return the entry of an objective's future-policy form, `fpa_NAME`; `fpa` for offline_rl."""
    loss = future_policy(base.loss)
    if base.name == "offline_rl":
        loss.__name__ = "fpa"
    loss.__doc__ = (
        f"{base.name} with its gradient weighted by the future policy (arXiv {FPA_SOURCE})."
    )
    settings = {"lam": 1.0, **base.settings}
    return Objective(
        loss, FPA_SOURCE, base.at_reference, base.advantage, base.only_correct, settings
    )


_FUTURE = [_fpa(base) for base in _BASE if base.name not in _CONSTANT_COEFFICIENTS]

OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {entry.name: entry for entry in sorted(_BASE + _FUTURE, key=lambda e: e.name != "fpa")}
)
