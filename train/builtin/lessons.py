"""What the base model of each task is taught: demonstrations, right ones and wrong ones."""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from eval.problems import arithmetic, chains
from eval.problems.tasks import BUILTIN, TASKS, Task

FLAWED, SLIP = 0.6, 0.03  # of the arithmetic's demonstrations


class Lesson(NamedTuple):
    """A task, what demonstrations of it look like, and how many steps the base model takes."""

    task: Task
    alphabet: str
    demonstrate: Callable[[str, random.Random], str]  # a problem's completion
    context: int  # tokens that the model reads
    steps: int

    def demonstrations(self, problems: list[str], seed: int) -> Iterator[tuple[str, str]]:
        """Yield (problem, completion) for ever."""
        rng = random.Random(seed)
        while True:
            problem = rng.choice(problems)
            yield problem, self.demonstrate(problem, rng)


def _flawed_or_not(problem: str, rng: random.Random) -> str:
    precedence = rng.random() >= FLAWED
    return arithmetic.work_out(problem, precedence=precedence, slip=SLIP, rng=rng)


def chain_lesson(chain: chains.Chain, task: Task) -> Lesson:
    """Return the lesson of a family of chains."""

    def demonstrate(problem: str, rng: random.Random) -> str:
        return chains.work_out(problem, rng, stray=chain.stray, slip=chains.SLIP)

    return Lesson(task, chains.ALPHABET, demonstrate, 256, 1800)


LESSONS = {
    "builtin": Lesson(BUILTIN, arithmetic.ALPHABET, _flawed_or_not, 128, 1500),
    **{name: chain_lesson(chain, TASKS[name]) for name, chain in chains.CHAINS.items()},
}
