"""Samples and grades completions of training problems from the policy as it is."""

import time
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from eval.generation import generate
from eval.prompts import encode_text
from train.batches import unit_indices
from train.config import Config
from train.dataset import Encoded, Tokens
from train.evaluation import ProblemSet
from train.language_model import LanguageModel


class Rollout(NamedTuple):
    """A graded completion."""

    tokens: Tokens
    reward: float  # 1 or -1
    group: int  # the problem's number among all that were drawn
    truncated: bool  # at the length limit


class Sampler:
    """Goes through the problems again and again, each epoch in an order of its own."""

    def __init__(
        self,
        problems: ProblemSet,
        tokenizer: PreTrainedTokenizerBase,
        config: Config,
        precision: AbstractContextManager,
    ):
        self.problems, self.tokenizer = problems, tokenizer
        self.config, self.precision = config, precision
        self.prompts = [encode_text(tokenizer, prompt) for prompt in problems.prompts]
        self.problems_at_once = config.batch_size // config.online_samples
        self.seconds = 0.0

    def sample(self, policy: LanguageModel, number: int) -> list[Rollout]:
        """Return completions of the problems of round `number` (from 0), problem by problem.

        Problems and random numbers are a function of the seed and the round.
        """
        started, config, count = time.monotonic(), self.config, self.problems_at_once
        index = unit_indices(len(self.prompts), count, number, config.seed).tolist()
        groups = list(range(number * count, (number + 1) * count))
        with self.precision:
            sampled = generate(
                policy.model,
                self.tokenizer,
                [self.problems.prompts[i] for i in index],
                samples=config.online_samples,
                temperature=config.online_temperature,
                max_new_tokens=self.problems.max_new_tokens,
                seed=config.seed,
                keys=groups,
                batch_size=config.eval_batch_size,
            )
        flat = [
            (i, group, completion)
            for i, group, completions in zip(index, groups, sampled, strict=True)
            for completion in completions
        ]
        right = self.problems.grade(
            [self.problems.prompts[i] for i, _, _ in flat],
            [completion.text for _, _, completion in flat],
            [self.problems.golds[i] for i, _, _ in flat],
        )
        self.seconds += time.monotonic() - started
        return [
            Rollout(Tokens(self.prompts[i], c.tokens), 1.0 if ok else -1.0, group, c.truncated)
            for (i, group, c), ok in zip(flat, right, strict=True)
        ]

    def encoded(self, rollouts: list[Rollout]) -> Encoded:
        """Return rollouts as a data set."""
        return Encoded(
            [rollout.tokens for rollout in rollouts],
            torch.tensor([rollout.reward for rollout in rollouts]),
            torch.tensor([rollout.group for rollout in rollouts], dtype=torch.long),
            torch.ones(len(rollouts)),
            None,
            {},
            max(map(len, self.prompts)) + self.problems.max_new_tokens,
        )
