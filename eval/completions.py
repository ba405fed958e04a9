"""Graded completions in a folder: kept part by part, taken up again after an interruption."""

import json
from collections import Counter
from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import read_object, read_objects, require
from objectives.whole_files import append_whole, flush, write_whole

NEEDED = {"benchmark": str, "index": int, "sample": int, "problem": str, "gold": str,
          "completion": str}  # fmt: skip
OTHERS = {"thinking": "", "status": "", "truncated": False, "boxed": True}  # where they are there
MAKING = ("digests", "made_with")  # among the settings: how they came, which may differ


class CompletionsFolder:
    """A folder with `settings.json` and `completions.jsonl`, a line for each completion."""

    def __init__(self, path: Path, settings: dict):
        """Open a folder, or make it.

        settings: what the completions depend on, as JSON has it. Raises InputError where the
        folder was begun with others, or holds something else.
        """
        self.path, self.file, self.settings = path, path / "completions.jsonl", {**settings}
        record = path / "settings.json"
        self.begun: dict | None = None  # the settings so far, where there are completions
        begun = self.file.is_file() and self.file.stat().st_size > 0
        if record.is_file():
            if begun:  # nothing is lost by other settings otherwise
                self.begun = _read_settings(record)
                making = {name: own for name, own in self.begun.items() if name in MAKING}
                _require_equal(path, self.begun, {**making, **settings})
                self.settings = {**settings, **making}
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} holds something else: name another folder with --out")
        self._write_settings()
        self.rows = read_rows(self.file, torn_end=True, graded=True) if begun else []

    def add_making(self, values: dict) -> None:
        """Put what says how the completions came, under MAKING, into the settings."""
        self.settings |= values
        self._write_settings()

    def _write_settings(self) -> None:
        write_whole(self.path / "settings.json", json.dumps(self.settings, indent=2) + "\n")

    def take_up(self, samples: dict[str, int]) -> None:
        """Drop the completions of problems that an interruption left unfinished.

        samples: completions of each problem, by benchmark.
        """
        counts = Counter((row["benchmark"], row["index"]) for row in self.rows)
        self.replace(
            [
                row
                for row in self.rows
                if counts[row["benchmark"], row["index"]] == samples[row["benchmark"]]
            ]
        )

    def replace(self, rows: list[dict]) -> None:
        """Put other completions in place of all that are there."""
        self.rows = rows
        write_whole(self.file, _lines(rows))

    def of(self, benchmark: str) -> list[dict]:
        """Return the completions of a benchmark, as they were sampled."""
        return [row for row in self.rows if row["benchmark"] == benchmark]

    def append(self, rows: list[dict]) -> None:
        """Add completions to the file, on the disk when this returns."""
        append_whole(self.file, _lines(rows))
        flush(self.file)
        self.rows += rows

    def write_summary(
        self, scores: list[dict], left_out: dict[str, dict[str, int]] | None = None
    ) -> None:
        """Write `summary.json`: the settings, and what the completions come to.

        left_out: problems that were not asked, by benchmark and reason.
        """
        summary = {"settings": self.settings, "scores": scores, "left_out": left_out or {}}
        write_whole(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")


def read_rows(path: Path, *, torn_end: bool = False, graded: bool = False) -> list[dict]:
    """Return the completions of a file.

    torn_end: leave out a last line that an interruption cut off. graded: their verdicts will count,
    so each must be true or false, or a reward. Raises InputError naming the
    line that is not a completion.
    """
    found = read_objects(path, torn_end=torn_end)
    for number, row in found.items():
        where = f"{path} line {number}"
        try:
            require(where, row, NEEDED)
            require(where, {**OTHERS, **row}, {name: type(value) for name, value in OTHERS.items()})
        except InputError as error:
            raise InputError(f"{error}; it is to be a line that python -m eval wrote") from None
        rewarded = "correct" not in row and is_reward(row.get("reward"))
        if graded and not rewarded and not isinstance(row.get("correct"), bool):
            raise InputError(
                f"{path} line {number}: correct is {json.dumps(row.get('correct')):.40}, neither "
                f"true nor false: put it back, or grade the file again with --completions"
            )
    if not found and not torn_end:
        raise InputError(f"{path} holds no completions")
    return list(found.values())


def is_reward(value: object) -> bool:
    """Say whether a value of a row is a reward: a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _lines(rows: Iterable[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _read_settings(record: Path) -> dict:
    try:
        return read_object(record)
    except InputError as error:
        raise InputError(f"{error}: name another folder with --out") from None


def _require_equal(path: Path, before: dict, now: dict) -> None:
    old, new = dict(_flat(before)), dict(_flat(now))
    changes = [
        f"{name} {old.get(name, 'not there')}, now {new.get(name, 'not there')}"
        for name in {**old, **new}
        if name not in old or name not in new or old[name] != new[name]
    ]
    if changes:
        raise InputError(
            f"{path} was begun with other settings ({'; '.join(changes[:3])}): repeat those, or "
            f"name another folder with --out"
        )


def _flat(values: dict, prefix: str = "") -> Iterable[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
