"""Accuracy of the policy on a problem set while it trains: greedy, and avg@k of samples."""

from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.problems.arithmetic import held_out_problems
from eval.problems.problem_set import ProblemSet, arithmetic_set, word_problem_set
from eval.statistics import average_at_k, score_interval
from train.config.settings import Config
from train.devices import processes


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


def evaluate(
    problems: ProblemSet,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: Config,
) -> Scores:
    """Generate, grade and average; call it under the precision that training uses.

    The processes of a run divide the problems among them, and all return the whole.
    """
    kept: list[dict] = []

    def accuracy(samples: int, temperature: float) -> Accuracy:
        index = range(len(problems.prompts))
        graded = problems.complete(
            model, tokenizer, index, index, among=processes, samples=samples,
            temperature=temperature, seed=config.seed, batch_size=config.eval_batch_size,
        )  # fmt: skip
        for i, row in enumerate(graded):
            for k, (completion, right) in enumerate(row):
                kept.append({
                    "problem": i, "mode": "sampled" if temperature else "greedy", "sample": k,
                    "prompt": problems.prompts[i], "gold": problems.problems[i].answer,
                    "completion": completion.text, "correct": right,
                    "truncated": completion.truncated,
                })  # fmt: skip
        scores = [[right for _, right in row] for row in graded]
        return Accuracy(*score_interval(average_at_k(scores)))

    greedy = accuracy(samples=1, temperature=0.0)
    sampled = None
    if config.eval_samples:
        sampled = accuracy(samples=config.eval_samples, temperature=config.eval_temperature)
    return Scores(greedy, sampled, kept)


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
