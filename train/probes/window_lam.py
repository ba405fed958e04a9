"""λ by the window of entanglement: the least that keeps the chosen side of pairs from falling.

A step moves the chosen completion's log-prob by `c_w ‖g_w‖² - c_l ⟨g_w, g_l⟩` times the rate, g
being the gradients of the two sides: it falls where `c_l / c_w` is above `‖g_w‖² / ⟨g_w, g_l⟩`, and
never where the product is not above 0. The future policy makes c_l smaller as λ grows.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from diagnostics.entanglement.coefficients import coefficients_now_and_ahead
from diagnostics.entanglement.gram import pair_grams
from diagnostics.entanglement.head import head_pair_grams
from diagnostics.entanglement.pair_products import products
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import pack
from objectives import token_log_probs
from objectives.json_files import require
from train.config.diagnosis import MOST
from train.config.spec import ObjectiveSpec
from train.data.input_rows import spread
from train.learning.policies import Policies, States
from train.models.language_model import LanguageModel, uncompiled
from train.probes.pairs import ProbePairs

PAIRS, EVERY = 16, 25  # looked at, every so many steps
INSIDE = 0.9  # the share of pairs that is to be inside of the window
FACTOR, FIRST = 1.25, 0.25  # of the grid, above 0


class WindowLam:
    """The λ of each step: the least for which nine of ten probe pairs are inside of the window.

    *Assumed*: this rule is this project's own; the future-policy paper fixes λ.
    """

    def __init__(
        self,
        spec: ObjectiveSpec,
        probes: ProbePairs,
        policies: Policies,
        base: LanguageModel,
    ):
        """base: the reference. Raises ValueError for an objective whose λ follows no rule."""
        if spec.future is None or spec.future.rule is None:
            raise ValueError(f"{spec.name}: its λ follows no rule")
        self.rule, self.spec, self.probes = spec.future.rule, spec, probes
        self.policies = replace(policies, reference=base, states=None)
        self.grid = grid(self.rule.floor, self.rule.ceiling)
        self.lam: float | None = None
        self.metrics: dict[str, float] = {}

    def update(self, policy: LanguageModel, done: int) -> float:
        """Look at the probes where that is due after `done` updates; return the next step's λ."""
        if done % EVERY == 0 or self.lam is None:
            with uncompiled():
                wanted, inside = self._wanted()
            kept = self.rule.smoothing if self.lam is not None else 0.0
            self.lam = wanted if self.lam is None else kept * self.lam + (1 - kept) * wanted
            self.metrics = {"lam_wanted": wanted, "lam_inside": inside}
        return self.lam

    def _wanted(self) -> tuple[float, float]:
        """Return the least λ of the grid that holds enough pairs, or its last, and their share."""
        states = self._read()
        bounds, share = self._bounds(states), 0.0
        for lam, ratios in self._ratios(states):
            share = float(((ratios < bounds) | bounds.isinf()).double().mean())
            if share >= INSIDE:
                return lam, share
        return self.grid[-1], share

    @torch.no_grad()
    def _read(self) -> States:
        return self.policies.read(self.probes.micro)

    def _bounds(self, states: States) -> Tensor:
        """Return how large c_l / c_w of each pair may be before its chosen side falls, (N,)."""
        own, tokens = self.policies.policy, self.probes.pairs.tokens
        rows = pack(tokens).to(self.policies.device)
        weights = rows.mask[:, None].to(own.head.weight.dtype)
        size = sum(p.numel() for p in own.model.parameters())
        with own.precision.context(cached=True):
            if size > MOST:
                hidden = spread(states.hidden, states.rows)
                grams = head_pair_grams(hidden, own.head, rows.targets, weights)
            else:
                grams = pair_grams(own.model, rows, weights, select_parameters(own.model))
        of = products(grams.double())
        bounds = of.square_chosen / of.inner
        return torch.where(of.inner > 0, bounds, math.inf).cpu()

    @torch.no_grad()
    def _ratios(self, states: States):
        """Yield each λ of the grid, with each pair's c_l / c_w at the future policy, (N,)."""
        micro, own, spec = self.probes.micro, self.policies.policy, self.spec
        index = self.probes.pairs.index
        micro = micro._replace(batch=micro.batch._replace(divergence=torch.zeros(len(index))))
        rows, reference = states.rows, states.reference
        policy, batch, _ = self.policies.evaluate(micro, self.grid[0], states)
        for lam in self.grid:
            found = token_log_probs(
                states.hidden, own.head, rows.targets, reference=reference, lam=lam
            )
            assert found.future is not None  # it was asked for
            filled = batch._replace(future=spread(found.future, rows))
            _, ahead = coefficients_now_and_ahead(spec.objective, policy, filled, **spec.hyper)
            ratio = ahead.ratio
            yield lam, torch.where(ratio.isnan(), math.inf, ratio).cpu()

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return λ and what was seen last, as values."""
        return {}, {"lam": self.lam, "metrics": self.metrics}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned; raises ValueError for what is of another run."""
        require("it", values, {"lam": (int, float, type(None)), "metrics": dict})
        lam = values["lam"]
        if lam is not None and not self.rule.floor <= lam <= self.rule.ceiling:
            raise ValueError(f"its lam is {lam}")
        self.lam, self.metrics = lam, values["metrics"]


def grid(floor: float, ceiling: float) -> list[float]:
    """Return values of λ from floor to ceiling, each a quarter above the one before."""
    values, lam = [floor], max(FIRST, floor * FACTOR)
    while lam < ceiling:
        values.append(lam)
        lam *= FACTOR
    return [*values, ceiling] if ceiling > values[-1] else values
