"""Accuracy of the policy on a problem set while it trains: greedy, and avg@k of samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.generation import Completion, generate
from eval.grading import grade
from eval.problems.arithmetic import MAX_NEW_TOKENS, held_out_problems, is_correct, solve
from eval.problems.files import load_problems
from eval.prompts import word_problem_prompt
from eval.statistics import average_at_k, score_interval
from train.config.settings import Config
from train.devices import processes

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

    @classmethod
    def from_metrics(cls, line: dict) -> "Scores":
        """Return the accuracies of a line of metrics.jsonl, without the completions."""
        found = [
            Accuracy(*(line[f"eval/{name}_accuracy{suffix}"] for suffix in ("", "_low", "_high")))
            if f"eval/{name}_accuracy" in line
            else None
            for name in ("greedy", "sampled")
        ]
        return cls(*found, [])


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
        index = range(len(self.prompts))
        graded = self.complete(
            model, tokenizer, index, index, samples=samples, temperature=temperature,
            seed=config.seed, batch_size=config.eval_batch_size,
        )  # fmt: skip
        for i, row in enumerate(graded):
            for k, (completion, right) in enumerate(row):
                kept.append({
                    "problem": i, "mode": "sampled" if temperature else "greedy", "sample": k,
                    "prompt": self.prompts[i], "gold": self.golds[i],
                    "completion": completion.text, "correct": right,
                    "truncated": completion.truncated,
                })  # fmt: skip
        scores = [[right for _, right in row] for row in graded]
        return Accuracy(*score_interval(average_at_k(scores)))

    def complete(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        index: Sequence[int],
        keys: Sequence[int],
        **how,
    ) -> list[list[tuple[Completion, bool]]]:
        """Return completions of the problems `index`, each with whether it is correct.

        keys: as eval.generation.generate has them, like the rest. The processes of a run divide
        the problems among them, and all return the whole.
        """
        own = [(index[place], keys[place]) for place in processes.share(range(len(index)))]
        if not own:
            return processes.gathered([])
        completions = generate(
            model,
            tokenizer,
            [self.prompts[i] for i, _ in own],
            keys=[key for _, key in own],
            max_new_tokens=self.max_new_tokens,
            **how,
        )
        flat = [(i, c) for (i, _), row in zip(own, completions, strict=True) for c in row]
        right = iter(
            self.grade(
                [self.prompts[i] for i, _ in flat],
                [completion.text for _, completion in flat],
                [self.golds[i] for i, _ in flat],
            )
        )
        return processes.gathered([[(c, bool(next(right))) for c in row] for row in completions])


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
