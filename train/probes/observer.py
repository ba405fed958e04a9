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
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import Trajectories, pack
from objectives.errors import InputError
from train.config.diagnosis import ProbePlan
from train.data.tokenized import TokenizedData
from train.learning.learner import Learner
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
        data: TokenizedData,
        probes: ProbePairs,
        learner: Learner,
        base: LanguageModel,
        pad_id: int,
        write: Callable[[Sequence[str], list[dict]], object],
        lag: int | None,
    ):
        """base: the reference, which the learner itself may lack. write: takes columns and rows.

        lag: N where the run's future policy is extrapolated from that of N steps before.
        """
        self.plan, self.data, self.probes, self.learner = plan, data, probes, learner
        self.base, self.pad_id, self.write = base, pad_id, write
        self.reference = reference_name(lag)
        tokens = probes.pairs.tokens
        overlaps = [
            token_overlap(chosen, rejected)
            for (_, chosen), (_, rejected) in zip(tokens[::2], tokens[1::2], strict=True)
        ]
        trajectories = pack(tokens).to(learner.device)
        self._gradients = ProbeInputs(trajectories, split_weights(trajectories, overlaps))
        self._ring = None
        if "extrapolation" in plan.measures:
            lags = (None,) if lag is None else (None, lag)
            tokens = ProbeTokens(*(x.to(learner.device) for x in probes.tokens))
            self._ring = ProbeRing(plan.every, plan.horizons, lags=lags, tokens=tokens)
        self._solved: Mapping[int, bool] | None = None

    @uncompiled()
    def observe(self, step: int) -> None:
        """Measure the policy after `step` updates, where that is due."""
        if step % self.plan.every:
            return
        rows: list[dict] = []
        # Its own references, so that nothing is missing that the objective does not ask for.
        lam = PLAIN_LAM if self.learner.lam is None else self.learner.lam
        observer = replace(self.learner, reference=self.base, lam=lam, states=None)
        with torch.no_grad():
            policy, batch, _ = observer.evaluate(self.probes.micro, self._divergence())
        if "tokens" in self.plan.measures:
            shared = self._gradients.weights[:, 0].bool()
            values = token_log_prob_values(policy, batch.mask, shared)
            rows += [_row(step, name, value) for name, value in values.items()]
        if "entanglement" in self.plan.measures:
            model = self.learner.policy.model
            with self.learner.precision:
                grams = pair_grams(model, *self._gradients, select_parameters(model))
            values = entanglement_values(grams, observer.objective, observer.hyper, policy, batch)
            for name, value in values.items():
                ahead = (self.reference, lam) if name.endswith(f"/{AHEAD}") else (None, None)
                rows.append(_row(step, name, value, *ahead))
        if self._ring is not None:
            snapshot = self.probes.snapshot(self.learner.policy, self.learner.precision)
            rows += [row for score in self._ring.push(step, snapshot) for row in score.rows()]
        self.write(COLUMNS, rows)

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
        """Go on from what `state_dict` returned."""
        if self._ring is not None:
            self._ring.load_state_dict(tensors, values["ring"])
        self._solved = None if values["solved"] is None else dict(map(tuple, values["solved"]))

    def _divergence(self) -> Tensor | None:
        if "divergence" not in self.learner.objective.needs:
            return None
        index = self.probes.pairs.index
        if len(self.data.group[index].unique()) == 1:
            return torch.zeros((), device=self.learner.device)  # there is no other prompt
        return self.learner.divergence(self.data, index, len(index), self.pad_id)


def _row(step: int, quantity: str, value: float, reference=None, lam=None) -> dict:
    return dict(zip(COLUMNS, (step, quantity, reference, None, lam, value), strict=True))


def check_lag(plan: ProbePlan, lag: int | None) -> None:
    """Raise InputError where forecasts from the lagged policy have no snapshot to start from."""
    if lag is not None and "extrapolation" in plan.measures and lag % plan.every:
        raise InputError(
            f"--diagnose-every {plan.every}: must divide the lag of --future-from lagged:{lag}, "
            f"or leave extrapolation out of --diagnose"
        )
