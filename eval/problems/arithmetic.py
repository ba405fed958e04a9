"""The built-in task: chain arithmetic with worked steps, solved the right or a flawed way.

A problem is an expression of five one-digit numbers with one `*` among `+` and `-`, such as
`2+3*1+3+6=`. A correct completion obeys precedence, `3*1=3;2+3=5;5+3=8;8+6=14;#14`; the flawed
strategy goes from left to right. Graded by the number after `#` alone.
"""

import random
from collections.abc import Callable

NUMBERS = 5
TEST_COUNT, TEST_SEED = 1000, 7  # no training problem is among these
MAX_NEW_TOKENS = 48  # the longest worked solution has 45 characters with its end
TIMES_AT = (1, 3, 3, 3)  # weights of the place of `*` among the operators
ALPHABET = "0123456789+-*=;#"


def held_out_problems(count: int = TEST_COUNT) -> list[str]:
    """Return the first `count` problems of the test set."""
    return sample_problems(TEST_COUNT, TEST_SEED)[:count]


def sample_problems(count: int, seed: int, exclude: frozenset[str] = frozenset()) -> list[str]:
    """Draw `count` distinct problems, none of them in `exclude`, the same for the same seed.

    Where the flawed strategy happens to reach the right answer by other steps, a problem cannot
    tell the strategies apart and is left out. Where `*` comes first both are the same: about one
    problem in nine.
    """
    return draw_distinct(_sample_problem, count, seed, lambda p: p in exclude or _coincides(p))


def draw_distinct(
    draw: Callable[[random.Random], str], count: int, seed: int, left_out: Callable[[str], bool]
) -> list[str]:
    """Return `count` distinct problems of those that are drawn, the same for the same seed."""
    rng = random.Random(seed)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        problem = draw(rng)
        if not left_out(problem):
            drawn[problem] = None
    return list(drawn)


def _sample_problem(rng: random.Random) -> str:
    operators = [rng.choice("+-") for _ in range(NUMBERS - 1)]
    operators[rng.choices(range(NUMBERS - 1), TIMES_AT)[0]] = "*"
    digits = [str(rng.randint(1, 9)) for _ in range(NUMBERS)]
    return digits[0] + "".join(o + d for o, d in zip(operators, digits[1:], strict=True)) + "="


def _coincides(problem: str) -> bool:
    right, flawed = work_out(problem), work_out(problem, precedence=False)
    return right != flawed and right.rsplit("#")[1] == flawed.rsplit("#")[1]


def solve(problem: str) -> int:
    """Return the value of a problem, `*` before `+` and `-`."""
    return int(work_out(problem).rsplit("#", 1)[1])


def work_out(
    problem: str,
    *,
    precedence: bool = True,
    slip: float = 0.0,
    rng: random.Random | None = None,
) -> str:
    """Write the worked steps and the answer of a problem.

    precedence: obey it, or (the flawed strategy) go from left to right.
    slip: probability that a step's result is wrong by one or two; later steps build on it.
    rng: where the slips come from. Raises ValueError for slip > 0 without it.
    """
    if slip and rng is None:
        raise ValueError("slips come from an rng: give one")
    expression = problem.removesuffix("=")
    numbers, operators = [int(c) for c in expression[::2]], list(expression[1::2])
    steps = []
    while operators:
        at = operators.index("*") if precedence and "*" in operators else 0
        left, operator, right = numbers[at], operators.pop(at), numbers.pop(at + 1)
        result = _apply(left, operator, right)
        if slip and rng is not None and rng.random() < slip:
            result += rng.choice((-2, -1, 1, 2))
        numbers[at] = result
        steps.append(f"{left}{operator}{right}={result}")
    return ";".join([*steps, f"#{numbers[0]}"])


def _apply(left: int, operator: str, right: int) -> int:
    if operator == "*":
        return left * right
    return left + right if operator == "+" else left - right


def is_correct(problem: str, completion: str) -> bool:
    """Tell whether what follows the last `#` of a completion is the problem's value."""
    return completion.rpartition("#")[1:] == ("#", str(solve(problem)))


def follows_precedence(problem: str, completion: str) -> bool:
    """Tell whether a completion's first step is the one that precedence asks for."""
    return completion.split("=")[0] == work_out(problem).split("=")[0]
