"""λ that follows a horizon in steps: forecasts on fixed probes are scored while one trains."""

import math

from torch import Tensor

from diagnostics.extrapolation.lam_rule import LamRule, LamState, lam_at, observe
from diagnostics.extrapolation.ring import ProbeRing
from objectives.json_files import require
from train.models.language_model import LanguageModel
from train.probes.pairs import ProbePairs

PAIRS = 32
MOST_STEPS = 5  # between looks at the probes


class AutoLam:
    """The λ of each step, by the rule of diagnostics.extrapolation.lam_rule.

    Every few steps (the largest number up to MOST_STEPS that divides the horizon and the lag) it
    takes a snapshot of the policy at the probes and scores the forecast made one horizon before.
    Until the first is scored, the policy is taken to move at a steady speed.
    """

    def __init__(self, rule: LamRule, probes: ProbePairs, vocabulary: int):
        """vocabulary: how many logits the policy gives."""
        self._shape = probes.positions, vocabulary
        self.rule, self.probes, self.state = rule, probes, LamState()
        self.metrics: dict[str, float] = {}  # beside λ itself: none
        common = math.gcd(rule.horizon, rule.lag or rule.horizon)
        self.every = max(n for n in range(1, MOST_STEPS + 1) if common % n == 0)
        self._ring = ProbeRing(self.every, (rule.horizon,), lags=(rule.lag,), lams=())

    def update(self, policy: LanguageModel, done: int) -> float:
        """Look at the probes where that is due after `done` updates; return the next step's λ."""
        if done % self.every == 0:
            snapshot = self.probes.snapshot(policy)
            for score in self._ring.push(done, snapshot):
                self.state = observe(
                    self.state, self.rule, score.step, score.horizon, score.best_lam
                )
        return lam_at(self.state, self.rule, done)

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return the snapshots as tensors and the rest as values."""
        tensors, values = self._ring.state_dict()
        return tensors, {"ring": values, "pace": self.state.pace}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned; raises ValueError for what is of another run."""
        self._ring.load_state_dict(tensors, values["ring"], self._shape)
        require("it", values, {"pace": (int, float)})
        if not math.isfinite(values["pace"]):
            raise ValueError(f"its pace is {values['pace']}")
        self.state = LamState(values["pace"])
