"""The tables a run ends with."""

from dataclasses import dataclass
from pathlib import Path

from diagnostics.log_probs import MEAN_LOGPS, SIDES
from objectives.text_table import aligned
from train.sampling.evaluator import Scores

HEADER = ("", "before", "after")
COMPARISON = ("objective", "greedy before", "greedy after", "best (step)", "sampled after",
              "chosen", "rejected", "minutes")  # fmt: skip


@dataclass(frozen=True)
class Result:
    """How a run began and ended."""

    objective: str
    folder: Path
    evaluations: list[tuple[int, Scores]]  # (step, scores), empty without problems
    history: list[dict]  # the metrics of every step
    seconds: float


def run_table(result: Result) -> str:
    """Return a run as text, before -> after."""
    rows: list[tuple[str, ...]] = [HEADER]
    if result.evaluations:
        before, after = result.evaluations[0][1], result.evaluations[-1][1]
        rows.append(("greedy accuracy", str(before.greedy), str(after.greedy)))
        if after.sampled is not None:
            rows.append(("sampled accuracy", str(before.sampled), str(after.sampled)))
    for side in SIDES:
        key = f"{MEAN_LOGPS}/{side}"
        ends = [f"{m[key]:.4f}" if key in m else "-" for m in _ends(result)]
        rows.append((f"mean log-prob, {side}", *ends))
    return aligned(rows)


def comparison_table(results: list[Result]) -> str:
    """Return several runs as text, a line each."""
    return aligned([COMPARISON, *map(_line, results)])


def _line(result: Result) -> tuple[str, ...]:
    greedy = [(step, scores.greedy) for step, scores in result.evaluations]
    before = after = best = sampled = "-"
    if greedy:
        before, after = f"{greedy[0][1].mean:.3f}", str(greedy[-1][1])
        step, accuracy = max(greedy, key=lambda entry: entry[1].mean)
        best = f"{accuracy.mean:.3f} ({step})"
        last = result.evaluations[-1][1].sampled
        sampled = "-" if last is None else f"{last.mean:.3f}"
    last = _ends(result)[1]
    sides = [last.get(f"{MEAN_LOGPS}/{side}") for side in SIDES]
    shown = ["-" if value is None else f"{value:.3f}" for value in sides]
    return result.objective, before, after, best, sampled, *shown, f"{result.seconds / 60:.1f}"


def _ends(result: Result) -> tuple[dict, dict]:
    return (result.history[0], result.history[-1]) if result.history else ({}, {})
