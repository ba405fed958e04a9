"""Reading folders of runs: settings, the score of every problem at every evaluation, and costs."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow.json import ParseOptions, read_json

from objectives.errors import InputError
from objectives.json_files import read_object, read_objects, require, shown

COSTS = ("num_tokens", "num_tokens_generated", "flops")  # cumulative, in the lines of steps
# Of a run's config.json, what says which run it is and where it was made.
IDENTITY = {
    "objective", "seed", "learning_rate", "left_out", "command", "versions", "git_revision",
    "threads", "digests", "resumed",
}  # fmt: skip
KINDS = {"objective": str, "model": str, "data": str, "steps": int, "seed": int,
         "learning_rate": (int, float)}  # fmt: skip
TOTALS = ("tokens_trained", "tokens_generated", "flops", "seconds", "peak_memory_bytes")
COLUMNS = {
    "step": pa.int64(), "problem": pa.int64(), "mode": pa.string(), "sample": pa.int64(),
    "prompt": pa.string(), "gold": pa.string(), "correct": pa.bool_(),
}  # fmt: skip
PYTHON = {pa.int64(): int, pa.string(): str, pa.bool_(): bool}


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run that was evaluated."""

    path: Path
    config: dict
    hyper: dict  # of config, what decides what is trained, besides objective, seed and rate
    problems: tuple[tuple[str, str], ...]  # (prompt, gold answer)
    scores: dict[str, pd.DataFrame]  # of greedy and maybe sampled: steps x problems, in [0, 1]
    costs: pd.DataFrame  # steps x those of COSTS that were kept, 0 before training
    result: dict  # of result.json, empty where an older run has none

    @property
    def objective(self) -> str:
        return self.config["objective"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def learning_rate(self) -> float:
        return self.config["learning_rate"]

    @property
    def digests(self) -> dict[str, str]:
        """Of the contents of what it was made from, by what; empty of an older run."""
        return self.config.get("digests", {})

    @property
    def online(self) -> bool:
        return self.config.get("online", False)


def read_runs(
    paths: Sequence[Path], unchanging: Collection[str]
) -> tuple[list[EvaluatedRun], list[str]]:
    """Read every run in the folders and the folders within them.

    unchanging: settings of runs that are no hyper-parameters, as they leave what is trained as it
    is (train.config.UNTRAINED).
    Returns the runs, and a line for each that is left out, as it is not finished, was not evaluated
    or cannot be read. Raises InputError for a path that is not there, and where no run is left.
    """
    runs, left_out = [], []
    for folder in _find_runs(paths):
        try:
            runs.append(read_run(folder, unchanging))
        except InputError as error:
            left_out.append(str(error))
    if not runs:
        places = " ".join(map(str, paths))
        reasons = f" ({'; '.join(left_out)})" if left_out else ""
        raise InputError(
            f"{places:.200}: no finished run of python -m train there with evaluations{reasons}"
        )
    return runs, left_out


def _find_runs(paths: Sequence[Path]) -> list[Path]:
    """Return folders with config.json and metrics.jsonl, each once; files given are passed over."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such folder of runs")
        for file in sorted(path.rglob("config.json")):
            if (file.parent / "metrics.jsonl").is_file():
                found.setdefault(file.parent.resolve(), file.parent)
    return list(found.values())


def read_run(folder: Path, unchanging: Collection[str]) -> EvaluatedRun:
    """Read a run's folder; unchanging as in `read_runs`.

    A run is finished when it has a result.json, or, where it is older than that file, when it was
    evaluated after its last step. Raises InputError naming the file where it is not, or where a
    file is not what python -m train writes.
    """
    config = read_object(folder / "config.json")
    missing = KINDS.keys() - config.keys()
    if missing:
        raise InputError(f"{folder / 'config.json'}: no {', '.join(sorted(missing))} in it")
    for name, kind in KINDS.items():
        if not isinstance(config[name], kind) or isinstance(config[name], bool):
            raise InputError(f"{folder / 'config.json'}: {name} is {shown(config[name])}")
    digests = config.get("digests", {})
    require(str(folder / "config.json"), {"digests": digests}, {"digests": dict})
    require(f"{folder / 'config.json'}: digests", digests, dict.fromkeys(digests, str))
    _require_number(config["learning_rate"], "learning_rate", str(folder / "config.json"))
    metrics = pd.DataFrame(_read_lines(folder / "metrics.jsonl"))
    if "eval/greedy_accuracy" not in metrics:
        raise InputError(f"{folder}: not evaluated on problems")
    done = int(metrics.dropna(subset="eval/greedy_accuracy")["step"].to_numpy().max())
    if done != config["steps"]:
        raise InputError(f"{folder}: unfinished, evaluated up to step {done} of {config['steps']}")
    result = folder / "result.json"
    if "flops" in metrics and not result.exists():
        raise InputError(f"{folder}: unfinished, it has no result.json")
    problems, scores = _read_scores(folder / "eval.jsonl", done)
    kept = [name for name in COSTS if name in metrics]
    costs = pd.DataFrame(metrics.dropna(subset=kept or "step").groupby("step")[kept].last())
    if 0 not in costs.index:
        costs = pd.concat([pd.DataFrame(0.0, index=[0], columns=kept), costs])
    hyper = {n: value for n, value in config.items() if n not in IDENTITY.union(unchanging)}
    record = read_object(result) if result.exists() else {}
    for name in TOTALS:
        _require_number(record.get(name), name, str(result))
    return EvaluatedRun(folder, config, hyper, problems, scores, costs, record)


def _read_lines(file: Path) -> list[dict]:
    found = read_objects(file)
    for number, row in found.items():
        where = f"{file} line {number}"
        require(where, row, {"step": int})
        for name in (*COSTS, "eval/greedy_accuracy"):
            _require_number(row.get(name), name, where)
    return list(found.values())


def _require_number(value: Any, name: str, place: str) -> None:
    """Raise InputError where a value is neither a finite number nor None."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{place}: {name} is {shown(value)}, where a number is expected")


def _first_wrong(file: Path) -> str | None:
    """Return what is wrong with the first line that is not a completion."""
    try:
        rows = read_objects(file)
    except InputError as error:
        return str(error)
    for number, row in rows.items():
        for name, kind in COLUMNS.items():
            if name not in row or type(row[name]) is not PYTHON[kind]:
                found = shown(row[name]) if name in row else "missing"
                return f"{file} line {number}: {name} is {found}, not {PYTHON[kind].__name__}"
    return None


def _read_scores(file: Path, last: int) -> tuple[tuple, dict[str, pd.DataFrame]]:
    if not file.is_file():
        raise InputError(f"{file}: no such file of completions")
    options = ParseOptions(explicit_schema=pa.schema(COLUMNS), unexpected_field_behavior="ignore")
    try:
        rows = read_json(file, parse_options=options).to_pandas()
    except pa.ArrowInvalid as error:
        raise InputError(_first_wrong(file) or f"{file}: not completions ({error})") from None
    if rows.isna().any(axis=None):
        raise InputError(_first_wrong(file) or f"{file}: completions without all of {[*COLUMNS]}")
    problems = rows[["problem", "prompt", "gold"]].drop_duplicates().sort_values("problem")
    if not problems["problem"].is_unique:
        raise InputError(f"{file}: problems have several prompts or gold answers")
    # Those that were left out, as their prompts did not fit, have no completions.
    rows["problem"] = rows["problem"].rank(method="dense").astype(int) - 1
    scores = {}
    for mode, own in rows.groupby("mode"):
        grid = own.groupby(["step", "problem"])["correct"].agg(["mean", "size"]).unstack()
        whole = grid.shape[1] == 2 * len(problems) and grid["size"].nunique().max() == 1
        if not whole or grid["size"].isna().any(axis=None) or grid.index[-1] != last:
            raise InputError(
                f"{file}: {mode} completions of some problems at some steps are missing"
            )
        scores[mode] = grid["mean"].astype(float)
    if "greedy" not in scores:
        raise InputError(f"{file}: no greedy completions")
    return tuple(zip(problems["prompt"], problems["gold"], strict=True)), scores
