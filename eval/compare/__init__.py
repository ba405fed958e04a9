"""Runs compared: intervals, paired differences, report."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from eval.compare.comparison import Comparison, compare_runs
    from eval.compare.runs import read_runs

__all__ = ["Comparison", "compare_runs", "read_runs"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Comparison": "eval.compare.comparison",
        "compare_runs": "eval.compare.comparison",
        "read_runs": "eval.compare.runs",
    },
)
