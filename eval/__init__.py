"""What a model can do: problems, completions, grades, scores with their doubt, runs compared."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from eval.decoding.future import Future
    from eval.engines.by_transformers import TransformersEngine
    from eval.engines.by_vllm import VllmEngine
    from eval.engines.interface import Completion, Engine, Sampling
    from eval.generation import DecodedCompletion, generate
    from eval.grading import Grade, grade
    from eval.problems.benchmarks import BENCHMARKS
    from eval.problems.files import load_problems
    from eval.problems.problem_set import ProblemSet
    from eval.scores import Score, score

__all__ = [
    "BENCHMARKS",
    "Completion",
    "DecodedCompletion",
    "Engine",
    "Future",
    "Grade",
    "ProblemSet",
    "Sampling",
    "Score",
    "TransformersEngine",
    "VllmEngine",
    "generate",
    "grade",
    "load_problems",
    "score",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BENCHMARKS": "eval.problems.benchmarks",
        "Completion": "eval.engines.interface",
        "DecodedCompletion": "eval.generation",
        "Engine": "eval.engines.interface",
        "Future": "eval.decoding.future",
        "Grade": "eval.grading",
        "ProblemSet": "eval.problems.problem_set",
        "Sampling": "eval.engines.interface",
        "Score": "eval.scores",
        "TransformersEngine": "eval.engines.by_transformers",
        "VllmEngine": "eval.engines.by_vllm",
        "generate": "eval.generation",
        "grade": "eval.grading",
        "load_problems": "eval.problems.files",
        "score": "eval.scores",
    },
)
