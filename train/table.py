"""Reading graded trajectories: rollouts, preference pairs or labelled completions, as one table."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset, disable_progress_bars, load_dataset

from objectives.errors import InputError

BUILTIN = Path(__file__).parent / "builtin" / "rollouts.parquet"
FORMATS = "prompt, completion, reward | prompt, chosen, rejected | prompt, completion, label"
Text = str | list[dict]  # plain, or a conversation's messages


class Trajectory(NamedTuple):
    """A graded completion of a prompt."""

    prompt: Text
    completion: str
    reward: float
    group: Any  # what rollouts of one prompt have in common
    weight: float = 1.0
    truncated: bool = False
    token_ids: list[int] | None = None  # the completion as it was sampled


class Table(NamedTuple):
    """Trajectories in the order of the file, and the pairs that the file itself states."""

    name: str
    trajectories: list[Trajectory]
    pairs: list[tuple[int, int]] | None = None  # (chosen, rejected)


def read_table(source: str) -> Table:
    """Read `builtin`, a Parquet or JSON Lines file, or a hub data set (its split `train`).

    Columns: `prompt, completion, reward` with optional `group_id, weight, truncated,
    completion_ids`; or `prompt, chosen, rejected`; or `prompt, completion, label`. Prompts and
    completions may be conversations, and a missing prompt is then what both sides share.
    Raises InputError naming the file and row for what does not fit.
    """
    name = "the built-in rollouts" if source == "builtin" else source
    rows = _read_rows(source)
    if not rows:
        raise InputError(f"{name} holds no rows: expected the columns {FORMATS}")
    columns = set(rows[0])
    if {"chosen", "rejected"} <= columns:
        return _from_pairs(name, rows)
    missing = {"prompt", "completion"} - columns
    if not missing and not columns & {"reward", "label"}:
        missing = {"reward"}
    if missing:
        raise InputError(
            f"{name}: no column {', '.join(sorted(missing))} among {', '.join(sorted(columns))}; "
            f"expected {FORMATS}"
        )
    return Table(name, [_rollout(name, number, row) for number, row in enumerate(rows, 1)])


def _read_rows(source: str) -> list[dict]:
    path = BUILTIN if source == "builtin" else Path(source)
    disable_progress_bars()  # a file is read in an instant, and errors are to be one line
    if path.is_file():
        if path.suffix in (".jsonl", ".json"):
            return _read_json_lines(path)
        if path.suffix == ".parquet":
            try:
                return Dataset.from_parquet(str(path), keep_in_memory=True).to_list()
            except Exception as error:
                raise InputError(f"{path} is not a readable Parquet file: {error}") from None
        raise InputError(f"--data {path}: expected a file ending in .parquet or .jsonl")
    if path.suffix in (".jsonl", ".json", ".parquet") or source.startswith((".", "/")):
        raise InputError(f"--data {source}: no such file")
    try:
        return load_dataset(source, split="train").to_list()
    except Exception as error:
        raise InputError(
            f"--data {source}: neither a file here nor a data set with a split `train` that can "
            f"be had from the hub ({type(error).__name__})"
        ) from None


def _read_json_lines(path: Path) -> list[dict]:
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path} line {number}: not JSON ({error})") from None
            if not isinstance(row, dict):
                raise InputError(f"{path} line {number}: expected an object with {FORMATS}")
            rows.append(row)
    return rows


def _rollout(name: str, number: int, row: dict) -> Trajectory:
    where = f"{name} row {number}"
    prompt = _prompt(where, row.get("prompt"))
    if "reward" in row:
        reward = _number(where, "reward", row["reward"])
    else:
        label = row.get("label")
        if not isinstance(label, bool | int) or label not in (0, 1):
            raise InputError(f"{where}: label is {label!r}, expected true or false")
        reward = 1.0 if label else -1.0
    group = row.get("group_id")
    ids = row.get("completion_ids")
    return Trajectory(
        prompt,
        _completion(where, "completion", row.get("completion")),
        reward,
        _key(prompt) if group is None else group,
        _number(where, "weight", row["weight"]) if row.get("weight") is not None else 1.0,
        bool(row.get("truncated")),
        None if ids is None else [int(i) for i in ids],
    )


def _from_pairs(name: str, rows: list[dict]) -> Table:
    trajectories, pairs = [], []
    for number, row in enumerate(rows, 1):
        where = f"{name} row {number}"
        prompt = row.get("prompt")
        if prompt is None and isinstance(row["chosen"], list):
            prompt = row["chosen"][:-1]
        prompt = _prompt(where, prompt)
        weight = row.get("weight")
        weight = 1.0 if weight is None else _number(where, "weight", weight)
        pairs.append((len(trajectories), len(trajectories) + 1))
        for side, reward in (("chosen", 1.0), ("rejected", -1.0)):
            text = _completion(where, side, row.get(side))
            # A pair is weighted by the product of its rows' weights.
            factor = weight if side == "chosen" else 1.0
            trajectories.append(Trajectory(prompt, text, reward, _key(prompt), factor))
    return Table(name, trajectories, pairs)


def _prompt(where: str, value: Any) -> Text:
    if isinstance(value, list) and value and all(_is_message(m) for m in value):
        return value
    if isinstance(value, str) and value:
        return value
    raise InputError(f"{where}: prompt is {value!r:.60}, expected text or a list of messages")


def _completion(where: str, column: str, value: Any) -> str:
    if isinstance(value, list) and value and _is_message(value[-1]):
        return value[-1]["content"]
    if isinstance(value, str):
        return value
    raise InputError(f"{where}: {column} is {value!r:.60}, expected text or a list of messages")


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("content"), str) and "role" in value


def _number(where: str, column: str, value: Any) -> float:
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    raise InputError(f"{where}: {column} is {value!r:.60}, expected a finite number")


def _key(prompt: Text) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True)
