"""The chains: sums and products of one-digit numbers, rewritten one reduction at a time.

A problem is an expression of `numbers` one-digit numbers with a few `*` among `+`, no two `*` side
by side, such as `7+3*3+6+1=`. A solution writes the expression again and again with one operation
carried out, `7+9+6+1=16+6+1=22+1=23`: a `*`, or a `+` that is not beside one. There are many right
ways, so that the tokens that right and wrong solutions share are uncertain, as in real text. A
wrong one takes, somewhere, a `+` that is beside a `*`; the rest is sound reasoning about another
expression. Graded by the number after the last `=`.
"""

import random
from dataclasses import dataclass
from itertools import pairwise

from eval.problems.arithmetic import draw_distinct, solve

ALPHABET = "0123456789+*="
SLIP = 0.003  # of a step's result, by one or two


@dataclass(frozen=True)
class Chain:
    """A family of problems, and how often the base model's teacher strays."""

    name: str
    numbers: int  # the horizon: a solution has one reduction fewer
    products: int  # `*` among the operators
    stray: float  # chance that a step is an illegal one, where there is one

    @property
    def max_new_tokens(self) -> int:
        """Return a length that every solution has room in, its end included."""
        # A state has at most two numbers of three digits, and one operation fewer than the last.
        return sum(3 * left + 2 for left in range(1, self.numbers)) + 1

    def sample_problems(
        self, count: int, seed: int, exclude: frozenset[str] = frozenset()
    ) -> list[str]:
        """Draw `count` distinct problems, none of them in `exclude`, the same for the same seed."""
        return draw_distinct(self._problem, count, seed, exclude.__contains__)

    def _problem(self, rng: random.Random) -> str:
        places = self.numbers - 1
        while True:
            at = sorted(rng.sample(range(places), self.products))
            if all(b - a > 1 for a, b in pairwise(at)):
                break
        digits = [str(rng.randint(1, 9)) for _ in range(self.numbers)]
        operators = ["*" if place in at else "+" for place in range(places)]
        return digits[0] + "".join(map("".join, zip(operators, digits[1:], strict=True))) + "="


# Straying so often that the base models solve about a quarter of the problems when sampled.
CHAINS = {
    chain.name: chain
    for chain in (
        Chain("chains-6", 6, 2, 0.35),
        Chain("chains", 8, 2, 0.2),
    )
}


def work_out(problem: str, rng: random.Random, *, stray: float = 0.0, slip: float = 0.0) -> str:
    """Write a solution, its reductions chosen by chance among those that are legal.

    stray: chance that a step is an illegal one, where there is one. slip: chance that a step's
    result is wrong by one or two; later steps build on it.
    """
    numbers, operators = _read(problem)
    states = []
    while operators:
        legal, illegal = reductions(operators)
        strays = illegal and rng.random() < stray
        at = rng.choice(illegal if strays else legal)
        numbers, operators = _reduced(numbers, operators, at)
        if slip and rng.random() < slip:
            numbers[at] += rng.choice((-2, -1, 1, 2))
        states.append(_written(numbers, operators))
    return "=".join(states)


def reductions(operators: list[str]) -> tuple[list[int], list[int]]:
    """Return the places of operations that may be carried out next, and of those that may not."""
    legal, illegal = [], []
    for place, operator in enumerate(operators):
        beside = operators[max(0, place - 1) : place] + operators[place + 1 : place + 2]
        (illegal if operator == "+" and "*" in beside else legal).append(place)
    return legal, illegal


def is_correct(problem: str, completion: str) -> bool:
    """Tell whether what follows the last `=` of a completion is the problem's value."""
    return completion.rpartition("=")[2] == str(solve(problem))


def first_illegal_step(problem: str, completion: str) -> int | None:
    """Return the number, from 1, of the first step that no legal reduction gives; None: all are."""
    state = problem.removesuffix("=")
    for number, following in enumerate(completion.split("="), 1):
        numbers, operators = _read(state)
        legal, _ = reductions(operators)
        if following not in {_written(*_reduced(numbers, operators, at)) for at in legal}:
            return number
        state = following
    return None


def _read(expression: str) -> tuple[list[int], list[str]]:
    numbers, operators = [""], []
    for character in expression.removesuffix("="):
        if character in "+*":
            operators.append(character)
            numbers.append("")
        else:
            numbers[-1] += character
    return [int(number) for number in numbers], operators


def _written(numbers: list[int], operators: list[str]) -> str:
    rest = zip(operators, map(str, numbers[1:]), strict=True)
    return str(numbers[0]) + "".join(map("".join, rest))


def _reduced(numbers: list[int], operators: list[str], at: int) -> tuple[list[int], list[str]]:
    left, right = numbers[at : at + 2]
    result = left * right if operators[at] == "*" else left + right
    return [*numbers[:at], result, *numbers[at + 2 :]], operators[:at] + operators[at + 1 :]
