"""A study's runs as CSV: what each was told to do, how it answered at each look, what was watched.

Three files of an experiment: `NAME-runs.csv`, a row for each run; `NAME-looks.csv`, for each run
and evaluation; `NAME-watched.csv`, for each run and look at its probe pairs. Answers are digits,
one for each problem: how many of its completions were right.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eval.compare.runs import COSTS, EvaluatedRun, read_run
from eval.study.plan import run_name
from objectives.errors import InputError
from objectives.whole_files import write_whole

RESULTS = Path(__file__).with_name("results")
PROBES = {"probe/mean_logps/chosen": "chosen", "probe/mean_logps/rejected": "rejected"}
PLACES = ("out", "command", "reference_cache", "token_cache")  # of config.json, where things were
KEPT = ("tokens_trained", "tokens_generated", "flops", "seconds")  # of result.json
WATCHED = (
    "cosine", "cosine_part/shared_shared", "cosine_part/mixed", "cosine_part/distinct_distinct",
    "window_low", "window_high", "coefficient_ratio/used", "inside_window/used",
    "regime/ideal", "regime/both down", "regime/both up", "regime/reversed",
)  # fmt: skip
MOST = 9  # completions of a problem: a digit


@dataclass(frozen=True)
class Record:
    """A run of the study: `run` as a comparison reads it, and what was seen besides answers."""

    line: str  # of the plan
    run: EvaluatedRun
    probes: pd.DataFrame  # steps x (chosen, rejected): mean log-probs of fixed trajectories
    watched: pd.DataFrame  # steps x WATCHED; empty where nothing was


def collect(names: Iterable[str], folder: Path, unchanging: Collection[str]) -> list[Record]:
    """Read runs of the plan from the folders that `--make` gave them, `folder`/`name`.

    unchanging: as in `read_runs`. Raises InputError naming a run that is not there or not finished.
    """
    records = []
    for name in names:
        run = read_run(folder / name, unchanging)
        metrics = pd.read_json(folder / name / "metrics.jsonl", lines=True)
        probes = metrics.reindex(columns=["step", *PROBES]).dropna()
        file = folder / name / "diagnostics.csv"
        watched = pd.DataFrame(columns=WATCHED)
        if file.is_file():
            long = pd.read_csv(file)
            long = long[long["quantity"].isin(WATCHED)]
            watched = long.pivot(index="step", columns="quantity", values="value")
        records.append(
            Record(
                name.split("/")[0],
                run,
                probes.rename(columns=PROBES).set_index("step"),
                watched.reindex(columns=list(WATCHED)).rename_axis("step"),
            )
        )
    return records


def write_records(records: Sequence[Record], experiment: str, folder: Path = RESULTS) -> list[Path]:
    """Write an experiment's three files, and return them."""
    runs = pd.DataFrame([_run_row(record) for record in records])
    looks = pd.concat([_looks(record).assign(run=name(record)) for record in records])
    watched = pd.concat([r.watched.round(5).assign(run=name(r)) for r in records])
    files = []
    for kind, table in (("runs", runs), ("looks", looks), ("watched", watched)):
        if not table.empty:
            table = table if kind == "runs" else table.reset_index().set_index("run").reset_index()
            files.append(folder / f"{experiment}-{kind}.csv")
            write_whole(files[-1], table.to_csv(index=False))
    return files


def together(kept: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    """Return records that were kept with new ones, which take the place of their namesakes.

    Raises InputError where the new ones are of another base, data or problems.
    """
    for record in new:
        for other in kept:
            # What is trained on online are problems alone.
            alike = record.run.online == other.run.online
            for what in ("base", "eval_problems", *(["data"] if alike else [])):
                own = record.run.digests.get(what)
                if other.run.digests.get(what, own) != own:
                    raise InputError(
                        f"{name(record)} and {name(other)}, which is kept, differ in {what}: take "
                        f"the experiment's files out of the results, and make it anew"
                    )
    found = {name(record): record for record in [*kept, *new]}
    return list(found.values())


def read_records(experiment: str, folder: Path = RESULTS) -> list[Record]:
    """Read an experiment's files. Raises InputError where they are not there."""
    records = kept_records(experiment, folder)
    if not records:
        raise not_kept(folder / f"{experiment}-runs.csv")
    return records


def not_kept(file: Path) -> InputError:
    """Return what is raised where a file of results is not there."""
    return InputError(f"{file}: not there: the study's results are kept in its repository")


def kept_records(experiment: str, folder: Path = RESULTS) -> list[Record]:
    """Read an experiment's files, where they are there; else none."""
    file = folder / f"{experiment}-runs.csv"
    if not file.is_file():
        return []
    runs = pd.read_csv(file)
    looks = pd.read_csv(folder / f"{experiment}-looks.csv", dtype={"greedy": str, "sampled": str})
    file = folder / f"{experiment}-watched.csv"
    watched = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["run", "step"])
    return [
        _record(
            row,
            looks[looks["run"] == row["run"]].set_index("step"),
            watched[watched["run"] == row["run"]].set_index("step").reindex(columns=list(WATCHED)),
        )
        for row in runs.to_dict("records")
    ]


def name(record: Record) -> str:
    """Return a run's name: line, learning rate, seed."""
    return run_name(record.line, record.run.learning_rate, record.run.seed)


def _run_row(record: Record) -> dict:
    run = record.run
    config = {key: value for key, value in run.config.items() if key not in PLACES}
    return {
        "run": name(record),
        "objective": run.objective,
        "learning_rate": run.learning_rate,
        "seed": run.seed,
        **{key: run.result.get(key) for key in KEPT},
        "hyper": json.dumps({key: config[key] for key in config if key in run.hyper}),
        "other": json.dumps({key: config[key] for key in config if key not in run.hyper}),
    }


def _looks(record: Record) -> pd.DataFrame:
    run = record.run
    answers = {
        mode: scores.apply(_digits, axis=1, samples=_samples(run.config, mode))
        for mode, scores in run.scores.items()
    }
    looks = pd.concat([pd.DataFrame(answers), run.costs, record.probes.round(5)], axis=1)
    return looks.loc[run.scores["greedy"].index].rename_axis("step")


def _samples(config: dict, mode: str) -> int:
    samples = config["eval_samples"] if mode == "sampled" else 1
    if samples > MOST:
        raise InputError(f"{samples} samples of a problem: the study keeps at most {MOST}")
    return samples


def _digits(scores: pd.Series, samples: int) -> str:
    return "".join(f"{round(score * samples)}" for score in scores)


def _record(row: dict, looks: pd.DataFrame, watched: pd.DataFrame) -> Record:
    hyper = json.loads(row["hyper"])
    config = hyper | json.loads(row["other"])
    scores = {}
    for mode in ("greedy", "sampled"):
        if mode in looks and looks[mode].notna().all():
            digits = [[int(digit) for digit in text] for text in looks[mode]]
            table = pd.DataFrame(np.array(digits) / _samples(config, mode), index=looks.index)
            scores[mode] = table.astype(float)
    problems = tuple((str(number), "") for number in range(scores["greedy"].shape[1]))
    costs = looks[[cost for cost in COSTS if cost in looks]].fillna(0)
    result = {key: row[key] for key in KEPT if row[key] == row[key]}
    run = EvaluatedRun(Path(row["run"]), config, hyper, problems, scores, costs, result)
    return Record(row["run"].split("/")[0], run, looks[[*PROBES.values()]], watched)
