"""What an evaluation is here, whoever made it: problems, each with a score."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """A problem that was graded."""

    question: str | None  # None where a file does not tell it
    gold: str
    score: float  # mean over its samples, in [0, 1] but of a reward
    digest: str | None = None  # of the whole row, as lm-evaluation-harness gives it


@dataclass(frozen=True)
class Graded:
    """A benchmark as one evaluation graded it."""

    problems: list[Problem]
    samples: int  # completions of each
    settings: Mapping[str, Any]  # how they were asked and sampled, by name
    unread: int = 0  # left out, as their gold answers cannot be read
    reward: str | None = None  # that graded: its function and source; None: by answers
    bounded: bool = True  # each completion's score is 0 or 1


@dataclass(frozen=True)
class Evaluation:
    """A model's results on some benchmarks."""

    path: Path
    model: str
    made_by: str  # the program
    benchmarks: Mapping[str, Graded]
    notes: list[str] = field(default_factory=list)  # sentences: what was chosen in reading it
