"""Graded trajectories: rollouts, preference pairs or labelled completions, read as one table."""

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from datasets import Dataset

from objectives.errors import InputError
from train.data.sources import RowSource, open_rows, rows_in_memory

BUILTIN_ROLLOUTS = Path(__file__).parents[1] / "builtin" / "rollouts.parquet"
FORMATS = "prompt, completion, reward | prompt, chosen, rejected | prompt, completion, label"
Text = str | list[dict]  # plain, or a conversation's messages
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Trajectory(NamedTuple):
    """A graded completion of a prompt: both are text, or both are messages of one conversation.

    Messages of the completion continue the prompt's. What the assistant wrote of them is trained;
    turns of the user and of tools are what the assistant reads.
    """

    prompt: Text
    completion: Text
    reward: float
    group: Any  # what rollouts of one prompt have in common
    weight: float = 1.0
    truncated: bool = False
    token_ids: list[int] | None = None  # the completion as it was sampled
    template: Mapping[str, Any] = NOTHING  # what the chat template takes besides the messages
    where: str = ""  # it stands: `FILE row 3`, for messages


class TrajectoryTable(NamedTuple):
    """Trajectories in the order of their source, made and checked as one goes through them."""

    name: str
    source: RowSource
    paired: bool  # each row of the source states a pair: trajectories 2n, chosen, and 2n + 1

    @property
    def count(self) -> int | None:
        """How many trajectories, where that is known beforehand."""
        rows = self.source.count
        return rows if rows is None else rows * (1 + self.paired)

    def batches(self) -> Iterator[list[Trajectory]]:
        """Yield the trajectories, a few hundred at a time.

        Raises InputError naming the file and row for what does not fit.
        """
        read = 0
        for rows in self.source.batches():
            batch: list[Trajectory] = []
            for number, row in enumerate(rows, read + 1):
                where = f"{self.name} row {number}"
                batch += _pair(where, row) if self.paired else [_rollout(where, row)]
            read += len(rows)
            yield batch

    def trajectories(self) -> Iterator[Trajectory]:
        """Yield the trajectories one by one, as `batches` does."""
        for batch in self.batches():
            yield from batch


def read_table(source: str) -> TrajectoryTable:
    """Open `builtin`, a Parquet or JSON Lines file, or a hub data set (its split `train`).

    Columns: `prompt, completion, reward` with optional `group_id, weight, truncated,
    completion_ids`; or `prompt, chosen, rejected`; or `prompt, completion, label`. Prompts and
    completions may be conversations, and a missing prompt is then what both sides share.
    Raises InputError for a source without the columns; the first rows are checked at
    once, the others when they are read.
    """
    name = "the built-in rollouts" if source == "builtin" else source
    path = BUILTIN_ROLLOUTS if source == "builtin" else Path(source)
    return _checked(name, open_rows(source, path, FORMATS))


def table_of(rows: Dataset | Sequence[dict], name: str) -> TrajectoryTable:
    """Return rows that are in memory as a table, with columns as `read_table` has them.

    name: what messages call them. Raises InputError for rows without the columns.
    """
    for number, row in enumerate(rows if isinstance(rows, Sequence) else (), 1):
        if not isinstance(row, dict):
            raise InputError(f"{name} row {number}: a {type(row).__name__}, expected a dict")
    return _checked(name, rows_in_memory(rows))


def _checked(name: str, rows: RowSource) -> TrajectoryTable:
    first = next(rows.batches(), None)
    if not first:
        raise InputError(f"{name} holds no rows: expected the columns {FORMATS}")
    columns = set(first[0])
    paired = {"chosen", "rejected"} <= columns
    missing = set() if paired else {"prompt", "completion"} - columns
    if not paired and not missing and not columns & {"reward", "label"}:
        missing = {"reward"}
    if missing:
        raise InputError(
            f"{name}: no column {', '.join(sorted(missing))} among {', '.join(sorted(columns))}; "
            f"expected {FORMATS}"
        )
    table = TrajectoryTable(name, rows, paired)
    next(table.batches())  # what is wrong with all rows is said before a model is loaded
    return table


def _rollout(where: str, row: dict) -> Trajectory:
    prompt = _prompt(where, row.get("prompt"))
    if "reward" in row:
        reward = _number(where, "reward", row["reward"])
    else:
        label = row.get("label")
        if not isinstance(label, bool | int) or label not in (0, 1):
            raise InputError(f"{where}: label is {label!r}, expected true or false")
        reward = 1.0 if label else -1.0
    group = row.get("group_id")
    if not isinstance(group, Hashable):
        raise InputError(f"{where}: group_id is {group!r:.60}, expected a number or text")
    return Trajectory(
        prompt,
        _completion(where, "completion", row.get("completion")),
        reward,
        _key(prompt) if group is None else group,
        _number(where, "weight", row["weight"]) if row.get("weight") is not None else 1.0,
        bool(row.get("truncated")),
        _ids(where, row.get("completion_ids")),
        where=where,
    )


def _pair(where: str, row: dict) -> list[Trajectory]:
    prompt = row.get("prompt")
    if prompt is None and isinstance(row.get("chosen"), list):
        prompt = row["chosen"][:-1]
    prompt = _prompt(where, prompt)
    key = _key(prompt)
    weight = row.get("weight")
    weight = 1.0 if weight is None else _number(where, "weight", weight)
    # A pair is weighted by the product of its rows' weights.
    return [
        Trajectory(
            prompt, _completion(where, side, row.get(side)), reward, key, factor, where=where
        )
        for side, reward, factor in (("chosen", 1.0, weight), ("rejected", -1.0, 1.0))
    ]


def _ids(where: str, value: Any) -> list[int] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(i, int) and i >= 0 for i in value):
        return value
    raise InputError(f"{where}: completion_ids is {value!r:.60}, expected a list of token ids")


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
