"""Samples and grades completions of training problems from the policy as it is."""

import time
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from eval.problems.problem_set import ProblemSet
from eval.prompts import encode_text
from train.config.settings import Config
from train.data.offline import unit_indices
from train.data.tokenized import TokenizedData
from train.data.tokens import FlatTokens, Tokens
from train.devices import processes
from train.models.language_model import LanguageModel
from train.sampling.engines import PolicyEngine

ONLINE_LIMIT = "--online-max-new-tokens"


class Rollout(NamedTuple):
    """A graded completion."""

    tokens: Tokens
    reward: float  # 1 or -1, or what a reward of a user's own gave
    group: int  # the problem's number among all that were drawn
    truncated: bool  # at the length limit


class Sampler:
    """Goes through the problems again and again, each epoch in an order of its own."""

    def __init__(
        self,
        problems: ProblemSet,
        tokenizer: PreTrainedTokenizerBase,
        config: Config,
        engine: PolicyEngine | None = None,
    ):
        """Sample on `problems`; engine: by default the policy's model."""
        self.problems, self.tokenizer, self.config = problems, tokenizer, config
        self.engine = engine or PolicyEngine()
        self.places = problems.places
        self.prompts = [encode_text(tokenizer, problems.prompts[place]) for place in self.places]
        self.engine.expect(self.prompts, problems.max_new_tokens)
        self.problems_at_once = config.batch_size // config.online_samples
        self.seconds = 0.0

    def with_config(self, config: Config) -> "Sampler":
        """Return a sampler of other settings, which has sampled nothing yet."""
        return Sampler(self.problems, self.tokenizer, config, self.engine)

    def sample(self, policy: LanguageModel, number: int) -> list[Rollout]:
        """Return completions of the problems of round `number` (from 0), problem by problem.

        Problems and random numbers are a function of the seed and the round.
        """
        started, config, count = time.monotonic(), self.config, self.problems_at_once
        drawn = unit_indices(len(self.prompts), count, number, config.seed).tolist()
        index = [self.places[i] for i in drawn]
        groups = list(range(number * count, (number + 1) * count))
        with self.engine.of(policy, config.eval_batch_size) as engine:
            graded = self.problems.complete(
                engine, self.tokenizer, index, groups, among=processes,
                samples=config.online_samples, temperature=config.online_temperature,
                seed=config.seed,
            )  # fmt: skip
        self.seconds += time.monotonic() - started
        return [
            Rollout(Tokens(self.prompts[i], c.tokens), _reward(verdict), group, c.truncated)
            for i, group, row in zip(drawn, groups, graded, strict=True)
            for c, verdict in row
        ]

    def tokenized(self, rollouts: list[Rollout]) -> TokenizedData:
        """Return rollouts as a data set."""
        return TokenizedData(
            FlatTokens.of(rollout.tokens for rollout in rollouts),
            torch.tensor([rollout.reward for rollout in rollouts]),
            torch.tensor([rollout.group for rollout in rollouts], dtype=torch.long),
            torch.ones(len(rollouts)),
            None,
            {},
            max(map(len, self.prompts)) + self.problems.max_new_tokens,
        )


def _reward(verdict: bool | float) -> float:
    """Return a reward as it is, a verdict as 1 or -1."""
    return (1.0 if verdict else -1.0) if isinstance(verdict, bool) else verdict
