"""Problems that a policy answers again and again: completed, graded, shared among processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.answers.final import opened_thinking
from eval.context import Reads
from eval.engines.interface import Engine
from eval.generation import DecodedCompletion, generate
from eval.problems.benchmark import Grader, benchmark_of_file
from eval.problems.files import Problem, load_problems, read_problems
from eval.problems.rewards import Reward
from eval.problems.tasks import BUILTIN, Task
from eval.prompt_check import Limit, asked, check_prompts

WORD_PROBLEM_TOKENS = 256  # less than in a benchmark: it is done many times in a run


class Processes(Protocol):
    """Those among whom problems are divided."""

    def share(self, items: Sequence) -> list:
        """Return this process's part of a list."""
        ...

    def gathered(self, make: Callable[[], Sequence]) -> list:
        """Let each process make its share of a list; return the whole in its order, in each."""
        ...


class _Alone:
    def share(self, items: Sequence) -> list:
        return list(items)

    def gathered(self, make: Callable[[], Sequence]) -> list:
        return list(make())


ALONE = _Alone()  # one process, which has it all


@dataclass(frozen=True)
class ProblemSet:
    """Problems, how they are asked and graded, and how long an answer may be."""

    name: str
    problems: list[Problem]
    prompts: list[str]  # a text for each, as the model sees it
    grade: Grader  # as a benchmark has it
    max_new_tokens: int
    kept: list[int] | None = None  # places of those that are asked; None: all
    left_out: dict[str, int] = field(default_factory=dict)  # how many are not, by the reason

    @property
    def reward(self) -> Reward | None:
        """What grades them, where it is a reward of a user's own."""
        return self.grade if isinstance(self.grade, Reward) else None

    @property
    def places(self) -> list[int]:
        """Return the places of the problems that are asked."""
        return list(range(len(self.prompts))) if self.kept is None else self.kept

    def checked(self, engine: Reads, tokenizer: PreTrainedTokenizerBase, flag: str) -> "ProblemSet":
        """Return the set without the problems whose prompts do not fit, which keep their places.

        flag: that says how long an answer may be. Raises InputError as `check_prompts` does.
        """
        limit = Limit(self.max_new_tokens, flag)
        found = check_prompts(engine, tokenizer, self.prompts, limit, self.name)
        return replace(self, kept=found.kept, left_out=found.left_out)

    def complete(
        self,
        engine: PreTrainedModel | Engine,
        tokenizer: PreTrainedTokenizerBase,
        index: Sequence[int],
        keys: Sequence[int],
        *,
        among: Processes = ALONE,
        **how,
    ) -> list[list[tuple[DecodedCompletion, bool | float]]]:
        """Return completions of the problems `index`, each with whether it is correct.

        Where a reward grades, each comes with its reward, a float, instead. engine: or a model,
        which samples then itself. keys: as eval.generation.generate has them, like `how`. among:
        processes that divide the problems, and each of which gets the whole. Raises InputError as
        `generate` does.
        """
        own = [(index[place], keys[place]) for place in among.share(range(len(index)))]

        def make() -> list[list[tuple[DecodedCompletion, bool | float]]]:
            return self._completed(engine, tokenizer, own, **how) if own else []

        return among.gathered(make)

    def _completed(
        self,
        engine: PreTrainedModel | Engine,
        tokenizer: PreTrainedTokenizerBase,
        own: list[tuple[int, int]],
        **how,
    ) -> list[list[tuple[DecodedCompletion, bool | float]]]:
        completions = generate(
            engine,
            tokenizer,
            [self.prompts[i] for i, _ in own],
            keys=[key for _, key in own],
            max_new_tokens=self.max_new_tokens,
            **how,
        )
        flat = [(i, c) for (i, _), row in zip(own, completions, strict=True) for c in row]
        grades = iter(
            self.grade(
                [self.problems[i] for i, _ in flat],
                [opened_thinking(self.prompts[i]) + c.text for i, c in flat],
                [c.truncated for _, c in flat],
            )
        )
        return [[(c, next(grades).value) for c in row] for row in completions]


def arithmetic_set(
    expressions: Sequence[str],
    max_new_tokens: int | None = None,
    reward: Reward | None = None,
    task: Task = BUILTIN,
) -> ProblemSet:
    """Return problems of a built-in task, which are asked by nothing but themselves.

    max_new_tokens: by default what the longest solution needs. reward: grades in the task's place.
    """
    return ProblemSet(
        "built-in problems" if task is BUILTIN else f"problems of {task.name}",
        task.problems(expressions),
        list(expressions),
        reward or task.grade,
        max_new_tokens or task.max_new_tokens,
    )


def word_problem_set(
    path: str,
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int | None = None,
    limit: int | None = None,
    rows: list[dict] | None = None,
    reward: Reward | None = None,
) -> ProblemSet:
    """Return the problems of a file, asked with their answer in a box, graded by math-verify.

    max_new_tokens: by default 256. limit: how many of the first problems, by default all. rows:
    what such a file holds, in its place; path is then what messages call them. reward: grades in
    the place of math-verify; no gold answer is needed, and questions are asked as they are written.
    Raises InputError as `load_problems` does, and naming the row that cannot be asked.
    """
    customs, gold = benchmark_of_file(path, reward), reward is None
    problems = (
        load_problems(path, limit=limit, gold=gold)
        if rows is None
        else read_problems(path, rows, gold=gold)[:limit]
    )
    return ProblemSet(
        path,
        problems,
        asked(customs.prompt, tokenizer, [problem.question for problem in problems], path),
        customs.grade,
        max_new_tokens or WORD_PROBLEM_TOKENS,
    )
