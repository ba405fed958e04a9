"""The tasks that need no file: problems drawn by a rule, of which base and rollouts are shipped."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from eval.grading import Grade
from eval.problems import arithmetic, chains
from eval.problems.arithmetic import TEST_COUNT, TEST_SEED
from eval.problems.files import Problem

VALIDATION = "-validation"  # after a task's name: problems to choose settings by
VALIDATION_COUNT, VALIDATION_SEED = 500, 8


class Draw(Protocol):
    """Draws distinct problems, none of them in `exclude`, the same for the same seed."""

    def __call__(
        self, count: int, seed: int, exclude: frozenset[str] = frozenset()
    ) -> list[str]: ...


class Task(NamedTuple):
    """A family of problems that are asked by nothing but themselves."""

    name: str
    max_new_tokens: int  # that the longest solution needs
    sample_problems: Draw
    solve: Callable[[str], int]
    is_correct: Callable[[str, str], bool]
    mark: str  # the answer is what follows the last of these

    def held_out(self, count: int | None = None) -> list[str]:
        """Return the first `count` problems of the test set, or all."""
        return self.sample_problems(TEST_COUNT, TEST_SEED)[:count]

    def validation(self, count: int | None = None) -> list[str]:
        """Return the first `count` problems, or all, of those to choose settings by."""
        tests = frozenset(self.held_out())
        return self.sample_problems(VALIDATION_COUNT, VALIDATION_SEED, tests)[:count]

    def problems(self, expressions: Sequence[str]) -> list[Problem]:
        """Return expressions of the task with their values."""
        return [Problem(text, str(self.solve(text))) for text in expressions]

    def grade(
        self,
        problems: Sequence[Problem],
        texts: Sequence[str],
        truncated: Sequence[bool] | None = None,
        /,
    ) -> list[Grade]:
        """Return a grade for each completion of a problem."""
        return [self._grade(*row) for row in zip(problems, texts, strict=True)]

    def _grade(self, problem: Problem, text: str) -> Grade:
        _, mark, answer = text.rpartition(self.mark)
        if not mark:
            return Grade(False, None, "unparseable")
        return Grade(self.is_correct(problem.question, text), answer, "ok", True)


def _chain(of: chains.Chain) -> Task:
    return Task(
        of.name, of.max_new_tokens, of.sample_problems, arithmetic.solve, chains.is_correct, "="
    )


BUILTIN = Task(
    "builtin", arithmetic.MAX_NEW_TOKENS, arithmetic.sample_problems, arithmetic.solve,
    arithmetic.is_correct, "#",
)  # fmt: skip
TASKS = {task.name: task for task in (BUILTIN, *map(_chain, chains.CHAINS.values()))}


def task_problems(name: str, count: int | None = None) -> tuple[Task, list[str]] | None:
    """Return a task and the first `count` problems that its name asks for; None for another name.

    name: of a task, for its test problems, or with `-validation` after it.
    """
    task = TASKS.get(name.removesuffix(VALIDATION))
    if task is None:
        return None
    return task, task.validation(count) if name.endswith(VALIDATION) else task.held_out(count)
