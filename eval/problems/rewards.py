"""A reward of the user's own, `module:function` or `file.py:function`, and its errors."""

import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eval.problems.files import Problem, row_of
from objectives.errors import InputError
from objectives.own_code import load_function, told

HOW = "write f(prompt, completion, row), which returns a float"
LARGEST = 1e18  # its square is a float32 still, as the deviation of a group needs


class Rewarded(NamedTuple):
    """What a reward gave a completion."""

    reward: float

    @property
    def value(self) -> float:
        """The reward."""
        return self.reward


@dataclass(frozen=True)
class Reward:
    """A function of others that says how good a completion is; it grades as a benchmark does."""

    name: str  # as it is named: module:function or file.py:function
    function: Callable[[str, str, dict], Any]
    digest: str | None  # of its source

    def record(self) -> dict[str, str | None]:
        """Return what a record of graded samples says of it."""
        return {"reward": self.name, "reward_source": self.digest}

    def __call__(
        self, problems: Sequence[Problem], texts: Sequence[str], truncated: Any = None, /
    ) -> list[Rewarded]:
        """Return the reward of each text, an answer to the problem of its place.

        The function gets the problem's question, the text, and a copy of the problem's row.
        Raises InputError naming function and row where it raises, or gives no finite number.
        """
        return [
            Rewarded(self._of(problem, text)) for problem, text in zip(problems, texts, strict=True)
        ]

    def _of(self, problem: Problem, text: str) -> float:
        where = getattr(problem, "where", f"the problem {problem.question!r:.60}")
        try:
            found = self.function(problem.question, text, row_of(problem))
        except (Exception, SystemExit) as error:
            what = told(error, self.function)
            raise InputError(f"--reward {self.name}: {where}: {what}") from None
        value = _number(found)
        if value is None or not abs(value) <= LARGEST:
            shown = " ".join(f"{found!r:.60}".split())
            raise InputError(
                f"--reward {self.name}: {where}: it gave {shown} ({type(found).__name__}), where a "
                f"finite float is wanted"
            )
        return value


def load_reward(name: str) -> Reward:
    """Import a reward by its name.

    Raises InputError, of one line, where it is not there or cannot be called with three arguments.
    """
    try:
        function, _, digest = load_function(name)
    except InputError as error:
        raise InputError(f"--reward {error}") from None
    if inspect.iscoroutinefunction(function):
        raise InputError(f"--reward {name}: it is async: {HOW}")
    try:
        inspect.signature(function).bind("", "", {})
    except TypeError:
        shown = inspect.signature(function)
        raise InputError(f"--reward {name}: its signature is {shown}: {HOW}") from None
    except ValueError:  # of a built-in function that does not tell its own
        pass
    return Reward(name, function, digest)


def _number(value: Any) -> float | None:
    """Return a number, or an array or tensor of one without dimensions, as a float; else None."""
    if not isinstance(value, numbers.Real) and getattr(value, "ndim", None) == 0:
        value = value.item()
    if not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
