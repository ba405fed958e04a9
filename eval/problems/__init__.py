"""Problems to solve: files, benchmarks, the built-in arithmetic."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from eval.problems.benchmark import Benchmark
    from eval.problems.benchmarks import BENCHMARKS
    from eval.problems.files import Problem, load_problems
    from eval.problems.problem_set import ProblemSet, arithmetic_set, word_problem_set

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Problem",
    "ProblemSet",
    "arithmetic_set",
    "load_problems",
    "word_problem_set",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BENCHMARKS": "eval.problems.benchmarks",
        "Benchmark": "eval.problems.benchmark",
        "Problem": "eval.problems.files",
        "ProblemSet": "eval.problems.problem_set",
        "arithmetic_set": "eval.problems.problem_set",
        "load_problems": "eval.problems.files",
        "word_problem_set": "eval.problems.problem_set",
    },
)
