"""What graded completions of a benchmark come to: avg@k, pass@k, maj@k and what went wrong."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite

from eval.grading import votes
from eval.statistics import average_at_k, majority_at_k, pass_at_k, score_interval
from objectives.errors import InputError
from objectives.text_table import aligned


@dataclass(frozen=True)
class Score:
    """A benchmark's results; scores and shares are in [0, 1], None where nothing was graded."""

    benchmark: str
    problems: int  # graded; those whose gold answer cannot be read are not among them
    samples: int  # k, completions of each
    average: float | None  # avg@k
    low: float | None  # 95 % interval of avg@k over problems
    high: float | None
    pass_at_k: float | None
    majority_at_k: float | None
    truncated: float | None  # shares of the graded completions
    unparseable: float | None
    correct_without_box: float | None
    timeouts: int
    unparseable_gold: int  # problems left out
    tokens: int
    seconds: float

    def as_dict(self) -> dict:
        return asdict(self)


def score(benchmark: str, rows: Sequence[dict]) -> Score:
    """Return the score of a benchmark's graded completions.

    rows: as `completions.jsonl` has them; of each, index (of the problem), sample, gold, correct,
    answer and status are needed. Answers of equal value are one vote of maj@k, right or wrong;
    worker processes compare those that are more than integers. Raises InputError where problems
    differ in their number of completions, a verdict is neither true nor false, or tokens or seconds
    are no numbers.
    """
    for row in rows:
        _check(benchmark, row)
    problems: dict[int, list[dict]] = {}
    for row in sorted(rows, key=lambda row: (row["index"], row["sample"])):
        problems.setdefault(row["index"], []).append(row)
    samples = len(next(iter(problems.values())))
    for index, group in problems.items():
        if len(group) != samples:
            raise InputError(
                f"{benchmark}: problem {index} has {len(group)} completions where others have "
                f"{samples}; finish the run, or leave that problem out"
            )
    graded = [g for g in problems.values() if g[0]["status"] != "unparseable_gold"]
    rest = {
        "unparseable_gold": len(problems) - len(graded),
        "tokens": sum(row.get("tokens", 0) for row in rows),
        "seconds": round(sum(row.get("seconds", 0) for row in rows), 1),
    }
    if not graded:
        return Score(benchmark, 0, samples, *[None] * 8, timeouts=0, **rest)
    correct = [[row["correct"] for row in group] for group in graded]
    wrong = votes([[None if r["correct"] else r["answer"] for r in group] for group in graded])
    # Correct answers are one answer, however they are written.
    voted = [
        [r["gold"] if r["correct"] else answer for r, answer in zip(group, row, strict=True)]
        for group, row in zip(graded, wrong, strict=True)
    ]
    flat = [row for group in graded for row in group]
    status = [row["status"] for row in flat]
    return Score(
        benchmark,
        len(graded),
        samples,
        *map(float, score_interval(average_at_k(correct))),
        pass_at_k=float(pass_at_k(correct, samples).mean()),
        majority_at_k=float(majority_at_k(voted, correct, samples).mean()),
        truncated=_share(row.get("truncated") for row in flat),
        unparseable=status.count("unparseable") / len(flat),
        correct_without_box=_share(r["correct"] and not r.get("boxed", True) for r in flat),
        timeouts=status.count("timeout"),
        **rest,
    )


def _check(benchmark: str, row: dict) -> None:
    place = f"{benchmark}: completion {row['sample']} of problem {row['index']}"
    if not isinstance(row["correct"], bool):
        raise InputError(
            f"{place} is neither right nor wrong, but {json.dumps(row['correct']):.40}: grade them "
            f"again with --completions"
        )
    for name in ("tokens", "seconds"):
        value = row.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InputError(f"{place} has {json.dumps(value):.40} {name}: a number is expected")


def _share(marks: Iterable) -> float:
    values = [bool(mark) for mark in marks]
    return sum(values) / len(values)


HEADER = ("benchmark", "problems", "k", "avg@k [95 %]", "pass@k", "maj@k", "truncated",
          "unparseable", "correct without a box", "timeouts", "gold unread", "tokens",
          "seconds")  # fmt: skip


def score_table(scores: Sequence[Score]) -> str:
    """Return scores as a table of text, a line for each."""
    return aligned([HEADER, *map(_cells, scores)], numbers=True)


def _cells(score: Score) -> tuple[str, ...]:
    def part(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    return (
        score.benchmark,
        str(score.problems),
        str(score.samples),
        f"{part(score.average)} [{part(score.low)}, {part(score.high)}]",
        part(score.pass_at_k),
        part(score.majority_at_k),
        part(score.truncated),
        part(score.unparseable),
        part(score.correct_without_box),
        str(score.timeouts),
        str(score.unparseable_gold),
        str(score.tokens),
        f"{score.seconds:.0f}",
    )
