"""An entry of the zoo: an objective and what a harness must know to train with it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from objectives.batch import Batch
from objectives.contract import Loss, Unit
from objectives.divergence_ahead import Divergence
from objectives.docstrings import parameter_help
from objectives.domains import Domain, domains_of, without_domain
from objectives.future import FutureLoss, at_policy

AtReference = Callable[[Tensor, Batch, Mapping], Tensor | float | None]

# What is set beside an objective's own hyper-parameters, for whoever fills the batch.
SETTINGS_HELP = {
    "lam": "λ: the future policy's logits are the policy's + λ (the policy's - the reference's)",
    "divergence_kind": "of the policy from the future policy, over the whole vocabulary: kl, "
    "KL(π_θ || π̂), or js, Jensen-Shannon",
    "period": "optimizer steps after which the policy becomes the new anchor; 0: it stays the "
    "reference or, online, is the policy that sampled",
}
SETTINGS_DOMAINS = {"lam": Domain(least=0), "period": Domain(least=0)}
SETTINGS_KINDS: Mapping[str, Any] = {"divergence_kind": Divergence}  # of those that are no numbers


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
    settings: Mapping[str, Any] = field(default_factory=dict)  # defaults, keys of SETTINGS_HELP
    future: FutureLoss | None = None  # its future-policy form, where that differs from itself
    digest: str | None = None  # of its source, where it is none of this project

    def __call__(self, policy: Tensor, batch: Batch, **hyper) -> Tensor:
        return self.loss(policy, batch, **hyper)

    @property
    def name(self) -> str:
        return self.loss.__name__

    @property
    def unit(self) -> Unit:
        """`pair` or `trajectory`: what one loss belongs to."""
        return self.loss.unit

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of Batch that are read besides `mask`."""
        return self.loss.needs

    @property
    def hyper_parameters(self) -> dict[str, inspect.Parameter]:
        """Keyword-only parameters of the loss, with defaults and the kinds of their values."""
        parameters = inspect.signature(self.loss, eval_str=True).parameters
        return {
            name: parameter.replace(annotation=_kind(parameter))
            for name, parameter in parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    @property
    def kinds(self) -> dict[str, Any]:
        """The kind of each hyper-parameter's values, and of settings that are no numbers."""
        own = {name: parameter.annotation for name, parameter in self.hyper_parameters.items()}
        return own | {
            name: SETTINGS_KINDS[name] for name in SETTINGS_KINDS if name in self.settings
        }

    @property
    def domains(self) -> dict[str, Domain]:
        """Which numbers each hyper-parameter and setting may be that is one."""
        settings = SETTINGS_DOMAINS.keys() & self.settings.keys()
        return domains_of(self.loss) | {name: SETTINGS_DOMAINS[name] for name in settings}

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each hyper-parameter and setting."""
        return {n: p.default for n, p in self.hyper_parameters.items()} | dict(self.settings)

    @property
    def base(self) -> str | None:
        """The name of what this is without its future policy; None of what does not look ahead."""
        base = at_policy(self.loss)
        return None if base is None else base.__name__

    @property
    def summary(self) -> str:
        """The first line of the loss's docstring."""
        return (inspect.getdoc(self.loss) or "").partition("\n")[0]

    @property
    def help(self) -> dict[str, str]:
        """What each hyper-parameter and setting means, and its domain where it has one."""
        texts = SETTINGS_HELP | parameter_help(inspect.getdoc(self.loss) or "")
        domains = {name: f"; {domain}" for name, domain in self.domains.items()}
        return {name: texts.get(name, "") + domains.get(name, "") for name in self.defaults}

    def check(self, hyper: Mapping[str, Any]) -> None:
        """Raise ValueError for hyper-parameters that the loss refuses, or not with each other.

        It is tried on two trajectories of a token each.
        """
        token, row = torch.full((2, 1), -1.0), torch.tensor([1.0, -1.0])
        pairs, group = torch.tensor([[0, 1]]), torch.zeros(2, dtype=torch.long)
        batch = Batch(
            token < 0,
            token,
            token,
            token,
            token,
            row,
            group,
            None,
            pairs,
            0 * row,
            row.abs(),
            token,
            token,
            row.abs() / 2,
            -token,
        )
        self.loss(token, batch, **hyper)


def settings_of(loss: Loss) -> dict[str, Any]:
    """Return the defaults of what is set for whoever fills a loss's batch with a future policy."""
    if "future_divergence" in loss.needs:
        return {"lam": 0.3, "divergence_kind": "kl"}  # λ as arXiv 2609.05295 finds it stable
    return {} if at_policy(loss) is None else {"lam": 1.0}


def _kind(parameter: inspect.Parameter) -> Any:
    """Return the kind of a parameter's values: as annotated, else that of its default."""
    if parameter.annotation is parameter.empty:
        return type(parameter.default)
    return without_domain(parameter.annotation)
