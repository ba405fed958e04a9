"""Graded trajectories: rollouts, preference pairs or labelled completions, read as one table."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datasets import Dataset

from objectives.errors import InputError
from train.config.builtin_tasks import TASKS, shipped_rollouts
from train.data.layouts import FORMATS, Layout, layout_of
from train.data.rows import LeftOut
from train.data.sources import RowSource, open_rows, rows_in_memory
from train.data.trajectory import Trajectory

BUILTIN_ROLLOUTS = shipped_rollouts("builtin")


class TrajectoryTable(NamedTuple):
    """Trajectories in the order of their source, made and checked as one goes through them."""

    name: str
    source: RowSource
    layout: Layout

    @property
    def paired(self) -> bool:
        """Whether each row of the source states a pair: trajectories 2n, chosen, and 2n + 1."""
        return self.layout.paired

    @property
    def count(self) -> int | None:
        """How many trajectories, those of rows that are left out too, where that is known."""
        rows = self.source.count
        return rows if rows is None else rows * (1 + self.paired)

    def batches(self, left_out: Counter[str] | None = None) -> Iterator[list[Trajectory]]:
        """Yield the trajectories, a few hundred at a time.

        left_out: where trajectories of rows that cannot be trained on are counted, by the reason.
        Raises InputError naming the file and row for what does not fit.
        """
        left_out = Counter() if left_out is None else left_out
        for rows in self.source.batches():
            batch: list[Trajectory] = []
            for where, row in rows:
                try:
                    batch += self.layout.read(where, row)
                except LeftOut as reason:
                    left_out[str(reason)] += 1 + self.paired
            yield batch

    def trajectories(self) -> Iterator[Trajectory]:
        """Yield the trajectories one by one, as `batches` does."""
        for batch in self.batches():
            yield from batch


def read_table(source: str, config: str | None = None, split: str | None = None) -> TrajectoryTable:
    """Open a built-in task's rollouts, a file, a folder or pattern of files, or one of the hub.

    Files end in .jsonl, .json, .parquet, .csv or .tsv; all but Parquet may be packed, with .gz
    after. Columns: those of one layout (`train.data.layouts`). config, split: of a data set of the
    hub, by default its only configuration and `train`.
    Raises InputError for a source without the columns; the first rows are checked at
    once, the others when they are read.
    """
    if source in TASKS:
        built_in = source == "builtin"
        name = "the built-in rollouts" if built_in else f"the rollouts of {source}"
        source = str(shipped_rollouts(source))
    else:
        name = source
    return _checked(name, open_rows(source, name, FORMATS, config, split))


def table_of(rows: Dataset | Sequence[dict], name: str) -> TrajectoryTable:
    """Return rows that are in memory as a table, with columns as `read_table` has them.

    name: what messages call them. Raises InputError for rows without the columns.
    """
    for number, row in enumerate(rows if isinstance(rows, Sequence) else (), 1):
        if not isinstance(row, dict):
            raise InputError(f"{name} row {number}: a {type(row).__name__}, expected a dict")
    return _checked(name, rows_in_memory(rows, name))


def _checked(name: str, rows: RowSource) -> TrajectoryTable:
    first = next(rows.batches(), None)
    if not first:
        raise InputError(f"{name} holds no rows: expected the columns {FORMATS}")
    table = TrajectoryTable(name, rows, layout_of(name, [row for _, row in first]))
    next(table.batches())  # what is wrong with all rows is said before a model is loaded
    return table
