"""Accuracy of the policy on a problem set while it trains: greedy, and avg@k of samples."""

from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from eval.engines.by_transformers import TransformersEngine
from eval.engines.interface import Engine
from eval.problems.problem_set import ProblemSet, arithmetic_set, word_problem_set
from eval.problems.tasks import TASKS, task_problems
from eval.prompts import encode_texts
from eval.statistics import average_at_k, score_interval
from train.config import Config
from train.devices import processes
from train.models.base import Base
from train.models.language_model import LanguageModel
from train.sampling.engines import PolicyEngine

EVAL_LIMIT = "--eval-max-new-tokens"
SUFFIXES = ("", "_low", "_high")  # of the names of an accuracy's fields


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

    def __repr__(self) -> str:
        kept = len(self.completions)
        return f"Scores(greedy {self.greedy}, sampled {self.sampled}, {kept} completions)"

    def metrics(self) -> dict[str, float]:
        """Return accuracies and their intervals under the names of metrics.jsonl."""
        named = {"greedy": self.greedy, "sampled": self.sampled}
        return {
            f"eval/{name}_accuracy{suffix}": value
            for name, accuracy in named.items()
            if accuracy is not None
            for suffix, value in zip(SUFFIXES, accuracy, strict=True)
        }

    @classmethod
    def from_metrics(cls, line: dict) -> "Scores":
        """Return the accuracies of a line of metrics.jsonl, without the completions."""

        def accuracy(name: str) -> Accuracy:
            return Accuracy(*(line[f"eval/{name}_accuracy{suffix}"] for suffix in SUFFIXES))

        sampled = accuracy("sampled") if "eval/sampled_accuracy" in line else None
        return cls(accuracy("greedy"), sampled, [])


class Evaluator:
    """Scores policies on problems; the base's scores are computed once for all runs."""

    def __init__(
        self,
        problems: ProblemSet,
        tokenizer: PreTrainedTokenizerBase,
        config: Config,
        engine: PolicyEngine | None = None,
    ):
        """Score on `problems`; engine: by default the policy's model."""
        self.problems, self.tokenizer, self.config = problems, tokenizer, config
        self.engine = engine or PolicyEngine()
        self._of_base: dict[tuple, Scores] = {}  # by what they depend on

    def with_config(self, config: Config) -> "Evaluator":
        """Return an evaluator of other settings that knows the base's scores too."""
        other = Evaluator(self.problems, self.tokenizer, config, self.engine)
        other._of_base = self._of_base
        return other

    def evaluate(self, policy: LanguageModel) -> Scores:
        """Generate, grade and average.

        The processes of a run divide the problems among them, and all return the whole.
        """
        config = self.config
        kept: list[dict] = []
        with self.engine.of(policy, config.eval_batch_size) as engine:
            greedy = self._accuracy(engine, kept, samples=1, temperature=0.0)
            sampled = None
            if config.eval_samples:
                sampled = self._accuracy(
                    engine, kept,
                    samples=config.eval_samples, temperature=config.eval_temperature,
                )  # fmt: skip
        return Scores(greedy, sampled, kept)

    def evaluate_base(self, policy: LanguageModel) -> Scores:
        """Return the base's scores.

        policy: has the base's weights still, and is where it is to compute.
        """
        config = self.config
        key = (config.seed, config.eval_samples, config.eval_temperature, config.eval_batch_size)
        if key not in self._of_base:
            self._of_base[key] = self.evaluate(policy)
        return self._of_base[key]

    def _accuracy(
        self, engine: Engine, kept: list[dict], samples: int, temperature: float
    ) -> Accuracy:
        """Return the accuracy, and add the completions to `kept`."""
        problems, index = self.problems, self.problems.places
        graded = problems.complete(
            engine, self.tokenizer, index, index, among=processes, samples=samples,
            temperature=temperature, seed=self.config.seed,
        )  # fmt: skip
        for i, row in zip(index, graded, strict=True):
            for k, (completion, right) in enumerate(row):
                kept.append({
                    "problem": i, "mode": "sampled" if temperature else "greedy", "sample": k,
                    "prompt": problems.prompts[i], "gold": problems.problems[i].answer,
                    "completion": completion.text, "correct": right,
                    "truncated": completion.truncated,
                })  # fmt: skip
        return Accuracy(
            *score_interval(average_at_k([[right for _, right in row] for row in graded]))
        )


def open_evaluator(config: Config, base: Base, engine: PolicyEngine) -> Evaluator | None:
    """Return an evaluator on the problems that --eval-problems names, None for `none`.

    Raises InputError for a problem that the model cannot be asked, and where no prompt fits.
    """
    model, tokenizer = base.model.model, base.tokenizer
    problems = _problems(config, tokenizer)
    if problems is None:
        return None
    problems = problems.checked(TransformersEngine(model), tokenizer, EVAL_LIMIT)
    if engine.other is not None:
        asked = encode_texts(tokenizer, [problems.prompts[place] for place in problems.places])
        engine.expect(asked, problems.max_new_tokens)
    return Evaluator(problems, tokenizer, config, engine)


def evaluated_problems(config: Config) -> str:
    """Return what --eval-problems names: `none`, a built-in task or a file."""
    name = config.eval_problems
    if name == "auto":
        return config.data if config.data in TASKS else "none"
    return name


def _problems(config: Config, tokenizer: PreTrainedTokenizerBase) -> ProblemSet | None:
    name = evaluated_problems(config)
    if name == "none":
        return None
    of_task = task_problems(name, config.eval_limit)
    if of_task is not None:
        task, problems = of_task
        return arithmetic_set(problems, config.eval_max_new_tokens, task=task)
    return word_problem_set(name, tokenizer, config.eval_max_new_tokens, config.eval_limit)
