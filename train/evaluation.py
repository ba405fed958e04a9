"""Accuracy of the policy on a problem set while it trains: greedy, and avg@k of samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.arithmetic import MAX_NEW_TOKENS, held_out_problems, is_correct, solve
from eval.generation import generate
from eval.grading import grade
from eval.problems import load_problems
from eval.prompts import word_problem_prompt
from eval.statistics import average_at_k, score_interval
from train.config import Config

DEFAULT_MAX_NEW_TOKENS = 256


class Accuracy(NamedTuple):
    mean: float
    low: float  # 95 % interval over problems
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Scores(NamedTuple):
    """What an evaluation gives; `sampled` is None where no samples were asked for."""

    greedy: Accuracy
    sampled: Accuracy | None
    completions: list[dict]  # a dict per completion, as eval.jsonl keeps them

    def metrics(self) -> dict[str, float]:
        """Return accuracies and their intervals under the names of metrics.jsonl."""
        named = {"greedy": self.greedy, "sampled": self.sampled}
        return {
            f"eval/{name}_accuracy{suffix}": value
            for name, accuracy in named.items()
            if accuracy is not None
            for suffix, value in zip(("", "_low", "_high"), accuracy, strict=True)
        }


@dataclass(frozen=True)
class ProblemSet:
    """Problems to evaluate on during training."""

    name: str
    prompts: list[str]
    golds: list[str]
    grade: Callable[[list[str], list[str], list[str]], list[bool]]  # prompts, completions, golds
    max_new_tokens: int

    def evaluate(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Config
    ) -> Scores:
        """Generate, grade and average; call it under the precision that training uses."""
        kept: list[dict] = []
        greedy = self._run(model, tokenizer, config, kept, samples=1, temperature=0.0)
        sampled = None
        if config.eval_samples:
            sampled = self._run(
                model, tokenizer, config, kept,
                samples=config.eval_samples, temperature=config.eval_temperature,
            )  # fmt: skip
        return Scores(greedy, sampled, kept)

    def _run(self, model, tokenizer, config, kept, samples, temperature) -> Accuracy:
        completions = generate(
            model,
            tokenizer,
            self.prompts,
            samples=samples,
            temperature=temperature,
            max_new_tokens=self.max_new_tokens,
            seed=config.seed,
            batch_size=config.eval_batch_size,
        )
        rows = [(i, k, c) for i, row in enumerate(completions) for k, c in enumerate(row)]
        correct = self.grade(
            [self.prompts[i] for i, _, _ in rows],
            [c.text for _, _, c in rows],
            [self.golds[i] for i, _, _ in rows],
        )
        for (i, k, c), right in zip(rows, correct, strict=True):
            kept.append({
                "problem": i, "mode": "sampled" if temperature else "greedy", "sample": k,
                "prompt": self.prompts[i], "gold": self.golds[i], "completion": c.text,
                "correct": bool(right), "truncated": c.truncated,
            })  # fmt: skip
        scores = [correct[n : n + samples] for n in range(0, len(correct), samples)]
        return Accuracy(*score_interval(average_at_k(scores)))


def load_problem_set(config: Config, tokenizer: PreTrainedTokenizerBase) -> ProblemSet | None:
    """Return the problems that --eval-problems names, None for `none`."""
    name = config.eval_problems
    if name == "auto":
        name = "builtin" if config.data == "builtin" else "none"
    if name == "none":
        return None
    if name == "builtin":
        return arithmetic_set(held_out_problems(config.eval_limit), config.eval_max_new_tokens)
    return word_problem_set(name, tokenizer, config.eval_max_new_tokens, config.eval_limit)


def arithmetic_set(problems: list[str], max_new_tokens: int | None) -> ProblemSet:
    """Return problems of the built-in task."""
    return ProblemSet(
        "built-in problems",
        problems,
        [str(solve(problem)) for problem in problems],
        lambda prompts, completions, _: list(map(is_correct, prompts, completions)),
        max_new_tokens or MAX_NEW_TOKENS,
    )


def word_problem_set(
    path: str,
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int | None,
    limit: int | None = None,
) -> ProblemSet:
    """Return the problems of a file, graded by math-verify."""
    problems = load_problems(path, limit=limit)
    return ProblemSet(
        path,
        [word_problem_prompt(tokenizer, problem.question) for problem in problems],
        [problem.answer for problem in problems],
        lambda _, completions, golds: [g.correct for g in grade(completions, golds)],
        max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
    )
