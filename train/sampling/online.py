"""What each optimizer step trains on, sampled from the policy itself: online RLVR."""

from dataclasses import replace

import torch

from objectives import Objective
from objectives.errors import InputError
from train.config.settings import Config
from train.data.offline import OptimizerBatch, mean_length
from train.data.tokenized import TokenizedData
from train.data.tokens import Tokens
from train.data.units import Units, select_units
from train.models.language_model import LanguageModel
from train.sampling.sampler import Rollout, Sampler

MOST_ROUNDS = 10  # of sampling for one batch


class OnlineData:
    """Draws batches that the policy has just sampled, and counts what that costs."""

    online = True

    def __init__(self, sampler: Sampler, objective: Objective, config: Config):
        # The trajectories of pairs come more than once: made for comparison with pair objectives.
        rows = "all" if config.rows == "auto" and objective.unit == "trajectory" else config.rows
        self.sampler, self.objective = sampler, objective
        self.config = replace(config, rows=rows)
        self.rounds = 0  # of sampling so far
        self.tokens_generated = 0
        self.left_out = sampler.problems.left_out
        self._kept: tuple[list[Rollout], dict[str, float]] | None = None
        self._current: OptimizerBatch | None = None

    @property
    def generation_seconds(self) -> float:
        """Seconds that this run has sampled for."""
        return self.sampler.seconds

    def describe(self) -> str:
        """Return what there is to train on, in words."""
        return (
            f"{len(self.sampler.prompts)} problems, {self.sampler.problems_at_once} at a time, "
            f"{self.config.online_samples} samples each"
        )

    def draw(self, step: int, policy: LanguageModel) -> OptimizerBatch:
        """Return what step `step` (from 1) trains on: sampled anew every `online_updates` steps.

        Raises InputError where sampling again and again gives the objective nothing to learn from.
        """
        if self._current is None or (step - 1) % self.config.online_updates == 0:
            rounds, sampled, kept = self._sample(policy)
            current = self._as_draw(kept, self._metrics_of(sampled) | self._gap())
            # All at once: a signal may end the sampling, and a checkpoint is then written.
            self.rounds, self._kept, self._current = rounds, (kept, current.metrics), current
            self.tokens_generated += sum(len(rollout.tokens.completion) for rollout in sampled)
        return self._current

    def _sample(self, policy: LanguageModel) -> tuple[int, list[Rollout], list[Rollout]]:
        """Return how many rounds there are then, all that was sampled, and what is kept of it."""
        rounds, sampled = self.rounds, list[Rollout]()
        kept: list[Rollout] = []
        units = None
        for _ in range(MOST_ROUNDS):
            fresh = self.sampler.sample(policy, rounds)
            rounds += 1
            sampled += fresh
            kept = kept + mixed(fresh) if self.config.online_mixed else fresh
            kept = kept[: self.config.batch_size]
            units = self._units(self.sampler.tokenized(kept))
            if units is not None and len(kept) == self.config.batch_size:
                break
        if units is None:
            alike = "all correct or all incorrect"
            if self.sampler.problems.reward is not None:
                alike = "each problem's with rewards that are alike, or on one side of 0"
            raise InputError(
                f"{self.objective.name} finds nothing to learn from in {MOST_ROUNDS} batches of "
                f"samples, {alike}: what was trained so far is kept; try more "
                f"--online-samples, another --online-temperature or other problems"
            )
        return rounds, sampled, kept

    def _as_draw(self, kept: list[Rollout], metrics: dict[str, float]) -> OptimizerBatch:
        data = self.sampler.tokenized(kept)
        units = self._selected(data)
        length = mean_length(data, torch.arange(len(kept)))
        return OptimizerBatch(
            data, units.reward, units.rows, self._count(units, len(kept)), length, metrics
        )

    def _metrics_of(self, sampled: list[Rollout]) -> dict[str, float]:
        count = len(sampled)
        if self.sampler.problems.reward is None:
            name, graded = "accuracy", [r.reward > 0 for r in sampled]
        else:
            name, graded = "reward", [r.reward for r in sampled]
        return {
            f"rollout/{name}": sum(graded) / count,
            "rollout/truncated": sum(r.truncated for r in sampled) / count,
            "rollout/length": sum(len(r.tokens.completion) for r in sampled) / count,
        }

    def _gap(self) -> dict[str, float]:
        """Return how far another engine's log-probs are from the policy's, a token in the mean."""
        gap = self.sampler.engine.gap
        return {} if gap is None else {"rollout/engine_gap": gap}

    def _units(self, data: TokenizedData) -> Units | None:
        if not data.tokens:
            return None
        try:
            return self._selected(data)
        except InputError:
            return None

    def _selected(self, data: TokenizedData) -> Units:
        return select_units(data, self.objective, self.config.rows, self.config.advantage)

    def _count(self, units: Units, kept: int) -> int:
        """Return what the sum of losses is divided by: rows without advantage count as 0."""
        if self.objective.unit == "pair":
            return len(units.rows)
        whole = units.rows.shape[1] == 1 and not self.objective.only_correct
        return kept if whole else units.rows.numel()

    def state_dict(self) -> tuple[dict, dict]:
        """Return where sampling stands, the samples that are trained on included, as values."""
        kept = None
        if self._kept is not None:  # all tokens that are sampled are trained
            rows, metrics = self._kept
            kept = [(tokens[:2], *rest) for tokens, *rest in rows], metrics
        values = {"rounds": self.rounds, "tokens_generated": self.tokens_generated,
                  "seconds": self.sampler.seconds, "kept": kept}  # fmt: skip
        return {}, values

    def load_state_dict(self, tensors: dict, values: dict) -> None:
        """Go on from what `state_dict` returned."""
        self.rounds, self.tokens_generated = values["rounds"], values["tokens_generated"]
        self.sampler.seconds = values["seconds"]
        if values["kept"] is not None:
            rows, metrics = values["kept"]
            kept = [Rollout(Tokens(*tokens), *rest) for tokens, *rest in rows]
            self._kept = kept, metrics
            self._current = self._as_draw(kept, metrics)


def mixed(rollouts: list[Rollout]) -> list[Rollout]:
    """Keep those of problems with both correct and incorrect ones (DAPO, arXiv 2503.14476).

    Of graded rewards, those of problems with more than one.
    """
    rewards: dict[int, set[float]] = {}
    for rollout in rollouts:
        rewards.setdefault(rollout.group, set()).add(rollout.reward)
    return [rollout for rollout in rollouts if len(rewards[rollout.group]) > 1]
