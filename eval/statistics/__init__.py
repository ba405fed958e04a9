"""Statistics of graded completions, of numpy arrays alone.

Scores are numbers in [0, 1], a problem each: right or wrong, or the mean of several samples. Those
of rewards may be any finite numbers: `mean_interval` and `mean_paired_difference` are for these.
"""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from eval.statistics.at_k import average_at_k, majority_at_k, pass_at_k
    from eval.statistics.intervals import (
        Difference,
        mean_difference,
        paired_difference,
        problem_difference,
        score_interval,
    )
    from eval.statistics.many_runs import holm, interquartile_mean, probability_of_improvement
    from eval.statistics.unbounded import mean_interval, mean_paired_difference

__all__ = [
    "Difference",
    "average_at_k",
    "holm",
    "interquartile_mean",
    "majority_at_k",
    "mean_difference",
    "mean_interval",
    "mean_paired_difference",
    "paired_difference",
    "pass_at_k",
    "probability_of_improvement",
    "problem_difference",
    "score_interval",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Difference": "eval.statistics.intervals",
        "average_at_k": "eval.statistics.at_k",
        "holm": "eval.statistics.many_runs",
        "interquartile_mean": "eval.statistics.many_runs",
        "majority_at_k": "eval.statistics.at_k",
        "mean_difference": "eval.statistics.intervals",
        "mean_interval": "eval.statistics.unbounded",
        "mean_paired_difference": "eval.statistics.unbounded",
        "paired_difference": "eval.statistics.intervals",
        "pass_at_k": "eval.statistics.at_k",
        "probability_of_improvement": "eval.statistics.many_runs",
        "problem_difference": "eval.statistics.intervals",
        "score_interval": "eval.statistics.intervals",
    },
)
