"""Watches fixed probe pairs while a run trains; leaves every bit of the run as it would be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from diagnostics.curves.measures import (
    AHEAD,
    FORGOTTEN,
    GAINED,
    entanglement_values,
    token_log_prob_values,
)
from diagnostics.entanglement.gram import pair_grams, split_weights
from diagnostics.entanglement.overlap import token_overlap
from diagnostics.extrapolation.ring import ProbeRing
from diagnostics.extrapolation.score import COLUMNS, ProbeTokens, reference_name
from diagnostics.extrapolation.snapshot import take_snapshot
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import Trajectories, learnt, pack
from objectives import Head, reference_point
from objectives.errors import InputError
from objectives.signals import at_once
from train.config.diagnosis import ProbePlan
from train.config.spec import ObjectiveSpec
from train.data.micro_batches import MicroBatch
from train.data.tokenized import TokenizedData
from train.learning.divergence import mismatched_ratios
from train.learning.policies import Policies, States
from train.models.language_model import LanguageModel, uncompiled
from train.probes.pairs import ProbePairs
from train.sampling.evaluator import Scores

PLAIN_LAM = 1.0  # of the future policy, where the objective does not look ahead itself


class ProbeInputs(NamedTuple):
    """The probe pairs as gradient diagnostics want them."""

    trajectories: Trajectories  # 2P rows, chosen and rejected in turn
    weights: Tensor  # (2P, 2, T) shared and distinct tokens


class Observer:
    """Measures what a plan asks for and writes it, for the run's `diagnostics.csv`.

    A row per number: step, quantity, reference, horizon, lam, value. `horizon` is that of a
    forecast, whose row has the step at which it was made, and is written when it is scored;
    `reference` and `lam` say what is extrapolated from and how far.
    """

    def __init__(
        self,
        plan: ProbePlan,
        spec: ObjectiveSpec,
        probes: ProbePairs,
        policies: Policies,
        base: LanguageModel,
        data: TokenizedData,
        write: Callable[[Sequence[str], list[dict]], object],
    ):
        """base: the reference, which the policies may lack. write: takes columns and rows."""
        self.plan, self.spec, self.probes = plan, spec, probes
        self.data, self.write = data, write
        # Its own reference, so that nothing is missing that the objective does not ask for.
        self.policies = replace(policies, reference=base, states=None)
        lag = spec.future and spec.future.lag
        self.reference = reference_name(lag)
        tokens = probes.pairs.tokens
        overlaps = [
            token_overlap(learnt(chosen), learnt(rejected))
            for chosen, rejected in zip(tokens[::2], tokens[1::2], strict=True)
        ]
        trajectories = pack(tokens).to(policies.device)
        self._gradients = ProbeInputs(trajectories, split_weights(trajectories, overlaps))
        self._ring = None
        if "extrapolation" in plan.measures:
            lags = (None,) if lag is None else (None, lag)
            tokens = ProbeTokens(*(x.to(policies.device) for x in probes.tokens))
            self._ring = ProbeRing(plan.every, plan.horizons, lags=lags, tokens=tokens)
        self._shape = probes.positions, len(base.head.weight)
        self._before: tuple[Tensor, Head] | None = None  # the reference: at every look the same
        self._solved: Mapping[int, bool] | None = None

    def observe(self, step: int, lam: float | None) -> None:
        """Measure the policy after `step` updates, where that is due.

        lam: λ of the run's future policy, None where the objective does not look ahead.
        """
        if step % self.plan.every == 0:
            policy = self.policies.policy
            with at_once(), uncompiled():
                states = self._read()
                rows = self._measured(step, PLAIN_LAM if lam is None else lam, states)
                snapshot = None
                if self._ring is not None:
                    snapshot = take_snapshot(states.hidden, policy.head)
            if self._ring is not None and snapshot is not None:
                for score in self._ring.push(step, snapshot):
                    rows += score.rows()
            self.write(COLUMNS, rows)

    @torch.no_grad()
    def _read(self) -> States:
        states = self.policies.read(self.probes.micro, self._before)
        self._before = states.reference
        return states

    def _measured(self, step: int, lam: float, states: States) -> list[dict]:
        rows: list[dict] = []
        own = self.policies.policy
        with torch.no_grad():
            policy, batch, _ = self.policies.evaluate(self._micro(), lam, states)
        if "tokens" in self.plan.measures:
            shared = self._gradients.weights[:, 0].bool()
            values = token_log_prob_values(policy, batch.mask, shared)
            rows += [_row(step, name, value) for name, value in values.items()]
        if "entanglement" in self.plan.measures:
            with own.precision.context(cached=True):
                grams = pair_grams(own.model, *self._gradients, select_parameters(own.model))
            spec = self.spec
            values = entanglement_values(grams, spec.objective, spec.hyper, policy, batch)
            for name, value in values.items():
                ahead = (self.reference, lam) if name.endswith(f"/{AHEAD}") else (None, None)
                rows.append(_row(step, name, value, *ahead))
        return rows

    def evaluated(self, step: int, scores: Scores) -> None:
        """Count the problems solved greedily that were not at the evaluation before, and others."""
        kept = [row for row in scores.completions if row["mode"] == "greedy"]
        solved = {row["problem"]: row["correct"] for row in kept}
        if self._solved is not None:
            before = self._solved
            gained = sum(solved[n] and not before[n] for n in solved)
            forgotten = sum(before[n] and not solved[n] for n in solved)
            counts = {GAINED: gained, FORGOTTEN: forgotten}
            self.write(COLUMNS, [_row(step, *item) for item in counts.items()])
        self._solved = solved

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return the ring of probes as tensors and the rest as values."""
        tensors, ring = ({}, None) if self._ring is None else self._ring.state_dict()
        solved = None if self._solved is None else list(self._solved.items())
        return tensors, {"ring": ring, "solved": solved}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned; raises ValueError for what is of another run."""
        if self._ring is not None:
            self._ring.load_state_dict(tensors, values["ring"], self._shape)
        self._solved = None if values["solved"] is None else dict(map(tuple, values["solved"]))

    def _micro(self) -> MicroBatch:
        """Return the probes with KTO's z0 over them, where the objective reads it."""
        micro, policies = self.probes.micro, self.policies
        if "divergence" not in policies.needs:
            return micro
        policy, reference = policies.policy, policies.require_reference()
        index = self.probes.pairs.index
        z0 = torch.zeros((), device=policies.device)  # where there is no other prompt
        if len(self.data.group[index].unique()) > 1:
            ratios = mismatched_ratios(policy, reference, self.data, index, len(index))
            z0 = reference_point(ratios)
        return micro._replace(batch=micro.batch._replace(divergence=z0.expand(len(index))))


def _row(step: int, quantity: str, value: float, reference=None, lam=None) -> dict:
    return dict(zip(COLUMNS, (step, quantity, reference, None, lam, value), strict=True))


def check_lag(plan: ProbePlan, lag: int | None) -> None:
    """Raise InputError where forecasts from the lagged policy have no snapshot to start from."""
    if lag is not None and "extrapolation" in plan.measures and lag % plan.every:
        raise InputError(
            f"--diagnose-every {plan.every}: must divide the lag of --future-from lagged:{lag}, "
            f"or leave extrapolation out of --diagnose"
        )
