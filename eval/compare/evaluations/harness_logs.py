"""What lm-evaluation-harness writes with --log_samples, read as evaluations.

It puts a `samples_TASK_DATE.jsonl` for each task beside a `results_DATE.json`, with a line for each
document and filter; several runs may share a folder.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.compare.evaluations.evaluation import Evaluation, Graded, Problem
from eval.problems.files import QUESTIONS
from objectives.errors import InputError
from objectives.json_files import read_object, read_objects, require, shown

NAME = re.compile(r"samples_(.+)_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl")
LINE = {"doc_id": int, "doc": dict, "filter": str, "metrics": list}
OF_TASK = ("num_fewshot", "generation_kwargs", "doc_to_text", "description", "repeats")
OF_RUN = ("model", "gen_kwargs", "limit", "model_dtype")
OF_PROMPT = ("chat_template_sha", "system_instruction", "fewshot_as_multiturn")


def is_log(path: Path) -> bool:
    """Whether a file is one of its samples, or a folder holds such."""
    if path.is_dir():
        return any(map(is_log, path.glob("samples_*.jsonl")))
    return bool(NAME.fullmatch(path.name)) and path.is_file()


def read_logs(path: Path, metric: str | None, chosen_filter: str | None) -> Evaluation:
    """Return the evaluation in a folder, the newest of each task, or in one file of samples.

    metric, chosen_filter: taken where the lines of a task have them, else the first of each.
    Raises InputError naming file and line where they are not what the harness writes, or scores are
    not in [0, 1].
    """
    folder = path if path.is_dir() else path.parent
    newest: dict[str, tuple[str, Path]] = {}
    older = 0
    for file in sorted(path.glob("samples_*.jsonl")) if path.is_dir() else [path]:
        match = NAME.fullmatch(file.name)
        if match is not None:  # sorted, so that the last of a task is the newest
            older += match[1] in newest
            newest[match[1]] = match[2], file
    benchmarks, said, results = {}, [], {}
    if older:
        said.append(f"{folder} has several runs: of each task the newest is read, {older} are not.")
    for task, (date, file) in newest.items():
        results = _results(folder / f"results_{date}.json")
        settings = _settings(results, task)
        benchmarks[task], sentence = _graded(file, task, metric, chosen_filter, settings)
        said.append(sentence)
    version = results.get("lm_eval_version")
    made_by = "lm-evaluation-harness" + (f" {version}" if version else "")
    return Evaluation(path, str(results.get("model_name", folder.name)), made_by, benchmarks, said)


def _results(file: Path) -> dict[str, Any]:
    return read_object(file) if file.is_file() else {}


def _settings(results: dict, task: str) -> dict[str, Any]:
    def part(values: Any, names: Sequence[str]) -> dict:
        return {n: values[n] for n in names if n in values} if isinstance(values, dict) else {}

    own = results.get("configs", {})
    own = own.get(task, {}) if isinstance(own, dict) else {}
    found = part(own, OF_TASK) | part(results.get("config"), OF_RUN) | part(results, OF_PROMPT)
    return {name: value for name, value in found.items() if value not in (None, {}, "")}


def _graded(
    file: Path, task: str, metric: str | None, chosen_filter: str | None, settings: dict
) -> tuple[Graded, str]:
    lines = read_objects(file)
    if not lines:
        raise InputError(f"{file} holds no samples")
    for number, row in lines.items():
        require(f"{file} line {number}", row, LINE)
    filters = list(dict.fromkeys(row["filter"] for row in lines.values()))
    own = chosen_filter if chosen_filter in filters else filters[0]
    kept = {number: row for number, row in lines.items() if row["filter"] == own}
    metrics = list(dict.fromkeys(str(n) for row in kept.values() for n in row["metrics"]))
    if not metrics:
        raise InputError(f"{file}: its lines have no metrics")
    name = metric if metric in metrics else metrics[0]
    problems, seen = [], set()
    for number, row in kept.items():
        place = f"{file} line {number}"
        if row["doc_id"] in seen:
            raise InputError(f"{place}: doc_id {row['doc_id']} is there twice with filter {own}")
        seen.add(row["doc_id"])
        question = next((row["doc"][n] for n in QUESTIONS if n in row["doc"]), None)
        score = _score(place, name, row.get(name))
        problems.append(
            Problem(
                question if isinstance(question, str) else None,
                str(row.get("target", "")),
                score,
                str(row["doc_hash"]) if "doc_hash" in row else None,
            )
        )
    others = [f"{kind} {', '.join(rest)}" for kind, rest in (
        ("metric", [n for n in metrics if n != name]), ("filter", [n for n in filters if n != own])
    ) if rest]  # fmt: skip
    said = f"{task}: {name}" + (f" with filter {own}" if own != "none" else "")
    said += f" (there is also {'; '.join(others)})." if others else "."
    return Graded(problems, 1, settings | {"metric": name, "filter": own}), said


def _score(place: str, metric: str, value: Any) -> float:
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return float(value)
    raise InputError(
        f"{place}: {metric} is {shown(value)}, not a number from 0 to 1: name a metric of right "
        f"and wrong with --metric"
    )
