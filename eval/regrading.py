"""Grade kept completions again, without a model."""

from collections.abc import Sequence

from eval.completions import is_reward
from eval.grading import Grade
from eval.problems.benchmark import Benchmark
from eval.problems.files import Problem
from eval.problems.rewards import Rewarded
from objectives.errors import InputError


def completions_of(benchmark: Benchmark, rows: Sequence[dict], source: str) -> list[dict]:
    """Return a benchmark's own of a file's completions.

    Raises InputError where the file, which messages call `source`, has none.
    """
    own = [row for row in rows if row["benchmark"] == benchmark.name]
    if not own:
        others = ", ".join(dict.fromkeys(row["benchmark"] for row in rows))
        raise InputError(f"{source} holds completions of {others}, none of {benchmark.name}")
    return own


def grade_again(
    benchmark: Benchmark, rows: Sequence[dict], problems: Sequence[Problem] | None, source: str
) -> list[dict]:
    """Return a benchmark's completions with new verdicts.

    problems: the benchmark's, whose gold answers count; None for the gold answers in the rows.
    Raises InputError where a completion is of another problem.
    """
    if problems is None:
        own = [Problem(row["problem"], row["gold"]) for row in rows]
    else:
        own = [_problem(benchmark, row, problems, source) for row in rows]
    texts = [row.get("thinking", "") + row["completion"] for row in rows]
    verdicts = benchmark.grade(own, texts, [bool(row.get("truncated")) for row in rows])
    former = {*Grade._fields, *Rewarded._fields}
    kept = [{name: value for name, value in row.items() if name not in former} for row in rows]
    return [
        {**row, "gold": problem.answer, **verdict._asdict()}
        for row, problem, verdict in zip(kept, own, verdicts, strict=True)
    ]


def _problem(benchmark: Benchmark, row: dict, problems: Sequence[Problem], source: str) -> Problem:
    index = row["index"]
    if not 0 <= index < len(problems) or problems[index].question != row["problem"]:
        raise InputError(
            f"{source}: its problem {index} of {benchmark.name} ({row['problem'][:40]!r}...) is "
            f"not problem {index} of these problems: grade with the set that was sampled on"
        )
    return problems[index]


def changes(before: Sequence[dict], after: Sequence[dict]) -> str:
    """Return in words how many verdicts changed, or what rewards are now in the mean."""
    if after and "reward" in after[0]:
        mean = sum(row["reward"] for row in after) / len(after)
        known = [row["reward"] for row in before if is_reward(row.get("reward"))]
        former = f", before {sum(known) / len(known):.3f}" if len(known) == len(after) else ""
        return f"{len(after)} completions rewarded, mean {mean:.3f}{former}"
    turned = [(b.get("correct") is True, a["correct"]) for b, a in zip(before, after, strict=True)]
    return (
        f"{len(after)} completions graded again, {turned.count((False, True))} became correct, "
        f"{turned.count((True, False))} incorrect"
    )
