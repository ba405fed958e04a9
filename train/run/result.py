"""What a run gives back: its scores, its metrics, and the tables it ends with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.log_probs import MEAN_LOGPS, SIDES
from objectives.errors import InputError
from objectives.json_files import read_object, require
from objectives.text_table import aligned
from train.sampling.evaluator import Scores
from train.store.folder import read_metrics

if TYPE_CHECKING:
    import pandas as pd

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
    pictures: list[Path] = field(default_factory=list)

    @property
    def before(self) -> Scores | None:
        """The base's scores, None where nothing was evaluated."""
        return self.evaluations[0][1] if self.evaluations else None

    @property
    def after(self) -> Scores | None:
        """The trained policy's scores, None where nothing was evaluated."""
        return self.evaluations[-1][1] if self.evaluations else None

    def table(self) -> str:
        """Return the run as text, before and after."""
        return run_table(self)

    def metrics(self) -> "pd.DataFrame":
        """Return the metrics of every step, a row each, and of the evaluations."""
        import pandas as pd

        scores = [{"step": step, **found.metrics()} for step, found in self.evaluations]
        steps = pd.DataFrame(self.history, columns=None if self.history else ["step"])
        evaluated = pd.DataFrame(scores, columns=None if scores else ["step"])
        return steps.merge(evaluated, on="step", how="outer").sort_values("step", ignore_index=True)


def read_history(folder: Path) -> tuple[list[tuple[int, Scores]], list[dict]]:
    """Return the evaluations and the metrics of every step that a run has written so far.

    Raises InputError for lines that are not of a run.
    """
    evaluations, history = [], []
    for line in read_metrics(folder):
        if "loss" in line:
            history.append(line)
        else:
            try:
                evaluations.append((line["step"], Scores.from_metrics(line)))
            except KeyError as error:
                raise InputError(
                    f"{folder / 'metrics.jsonl'}: the line of step {line['step']} has neither a "
                    f"loss nor {error.args[0]}"
                ) from None
    return evaluations, history


def read_result(objective: str, folder: Path) -> Result:
    """Return what a finished run's folder says of how it went, completions left out."""
    file = folder / "result.json"
    result = read_object(file)
    require(str(file), result, {"seconds": (int, float)})
    pictures = sorted((folder / "plots").glob("[!.]*.png"))
    return Result(objective, folder, *read_history(folder), result["seconds"], pictures)


def run_table(result: Result) -> str:
    """Return a run as text, before -> after."""
    rows: list[tuple[str, ...]] = [HEADER]
    before, after = result.before, result.after
    if before is not None and after is not None:
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
