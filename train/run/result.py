"""What a run gives back: its scores, its metrics, and the tables it ends with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from diagnostics.log_probs import MEAN_LOGPS, ROWS, SIDES
from objectives.errors import InputError
from objectives.json_files import read_object, require
from objectives.text_table import aligned
from train.probes.fixed_rows import PREFIX
from train.probes.held_out import ACCURACIES, LOSS
from train.probes.held_out import PREFIX as HELD_OUT
from train.run.best import best_line
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
    probes: list[dict]  # of fixed rows before and after; of old runs none, or only after
    seconds: float
    pictures: list[Path] = field(default_factory=list)
    held_out: list[dict] = field(default_factory=list)  # of held-out rows, a line for each look
    best: str | None = None  # a line on the best checkpoint

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
        """Return the metrics of every step, a row each, of the evaluations and of fixed rows."""
        import pandas as pd

        scores = [{"step": step, **found.metrics()} for step, found in self.evaluations]
        steps, *others = (
            pd.DataFrame(lines, columns=None if lines else ["step"])
            for lines in (self.history, scores, self.probes, self.held_out)
        )
        for other in others:
            steps = steps.merge(other, on="step", how="outer")
        return steps.sort_values("step", ignore_index=True)


class History(NamedTuple):
    """What a run's metrics.jsonl holds."""

    evaluations: list[tuple[int, Scores]]
    steps: list[dict]
    probes: list[dict]  # of fixed rows
    held_out: list[dict]  # of held-out rows


def read_history(folder: Path) -> History:
    """Return what a run has written. Raises InputError for lines that are not of a run."""
    found = evaluations, history, probes, held_out = History([], [], [], [])
    for line in read_metrics(folder):
        if "loss" in line:
            history.append(line)
        elif any(name.startswith(PREFIX) for name in line):
            probes.append(line)
        elif any(name.startswith(HELD_OUT) for name in line):
            held_out.append(line)
        else:
            try:
                evaluations.append((line["step"], Scores.from_metrics(line)))
            except KeyError as error:
                raise InputError(
                    f"{folder / 'metrics.jsonl'}: the line of step {line['step']} has neither a "
                    f"loss nor {error.args[0]}"
                ) from None
    return found


def read_result(objective: str, folder: Path) -> Result:
    """Return what a finished run's folder says of how it went, completions left out."""
    file = folder / "result.json"
    result = read_object(file)
    require(str(file), result, {"seconds": (int, float)})
    pictures = sorted((folder / "plots").glob("[!.]*.png"))
    found = read_history(folder)
    told, held_out = found[:3], found.held_out
    best = best_line(folder)
    return Result(objective, folder, *told, result["seconds"], pictures, held_out, best)


def run_table(result: Result) -> str:
    """Return a run as text, before -> after."""
    rows: list[tuple[str, ...]] = [HEADER]
    before, after = result.before, result.after
    if before is not None and after is not None:
        rows.append(("greedy accuracy", str(before.greedy), str(after.greedy)))
        if after.sampled is not None:
            rows.append(("sampled accuracy", str(before.sampled), str(after.sampled)))
    for name, label in ((LOSS, "held-out loss"), (ACCURACIES, "held-out pairs the right way")):
        if result.held_out and name in result.held_out[0]:
            ends = (_with_interval(result.held_out[place], name) for place in (0, -1))
            rows.append((label, *ends))
    for side in SIDES:
        ends = [_probed(line, side) for line in _ends(result)]
        counts = [int(line[f"{PREFIX}{ROWS}/{side}"]) for line in result.probes if _has(line, side)]
        if counts:
            rows.append((f"mean log-prob, {counts[0]} fixed {side}", *ends))
    table = aligned(rows)
    return table if result.best is None else f"{table}\n{result.best}"


def _with_interval(line: dict, name: str) -> str:
    mean, low, high = (line.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if mean is None:
        return "-"
    return f"{mean:.3f}" if low is None else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def comparison_table(results: list[Result]) -> str:
    """Return several runs as text, a line each."""
    header: list[str] = list(COMPARISON)
    lines = [list(_line(result)) for result in results]
    if any(result.held_out for result in results):
        header.append("held-out loss")
        for line, result in zip(lines, results, strict=True):
            line.append(_with_interval(result.held_out[-1], LOSS) if result.held_out else "-")
    return aligned([header, *lines])


def _line(result: Result) -> tuple[str, ...]:
    greedy = [(step, scores.greedy) for step, scores in result.evaluations]
    before = after = best = sampled = "-"
    if greedy:
        before, after = f"{greedy[0][1].mean:.3f}", str(greedy[-1][1])
        step, accuracy = max(greedy, key=lambda entry: entry[1].mean)
        best = f"{accuracy.mean:.3f} ({step})"
        last = result.evaluations[-1][1].sampled
        sampled = "-" if last is None else f"{last.mean:.3f}"
    shown = [_probed(_ends(result)[1], side, digits=3) for side in SIDES]
    return result.objective, before, after, best, sampled, *shown, f"{result.seconds / 60:.1f}"


def _ends(result: Result) -> tuple[dict, dict]:
    """Return the fixed rows' figures before and after, empty where they are not known."""
    known = {line["step"]: line for line in result.probes}
    done = result.history[-1]["step"] if result.history else 0
    return known.get(0, {}), known.get(done, {})


def _has(line: dict, side: str) -> bool:
    return bool(line.get(f"{PREFIX}{ROWS}/{side}"))


def _probed(line: dict, side: str, digits: int = 4) -> str:
    return f"{line[f'{PREFIX}{MEAN_LOGPS}/{side}']:.{digits}f}" if _has(line, side) else "-"
