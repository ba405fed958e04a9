"""Rollouts sampled in parts: each a file, written whole, until they are put together as a table."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from eval.problems.benchmark import row_text
from eval.problems.files import Problem
from objectives.errors import InputError
from objectives.json_files import read_object
from objectives.whole_files import write_whole

PROBLEMS = ("problems", "problems_sha256")  # settings that may differ where the problems do not
MAKING = ("digests", "made_with")  # beside the settings: how the parts came


class Asked(NamedTuple):
    """A problem and how it is asked."""

    number: int  # in its file, from 0
    problem: Problem
    prompt: str


class Parts:
    """The finished parts of a table, beside the file that they will become."""

    def __init__(self, out: Path, settings: dict, problems_sha256: str):
        self.out, self.folder = out, out.with_name(out.name + ".parts")
        if out.exists():
            raise InputError(f"--out {out} exists: name another file, or remove it")
        self.record = self.folder / "settings.json"
        self.settings = {**settings, "problems_sha256": problems_sha256}
        # Without parts nothing is lost by other settings: the first command may not have begun.
        begun = self.record.exists() and self._paths()
        self.before = read_object(self.record) if begun else None
        if self.before and (other := self._other_settings()):
            raise self._of_others(f"other settings ({other})")

    def open(self, groups: list[list[Asked]], making: dict) -> list[int]:
        """Return the numbers of the parts that are to be sampled.

        groups: the problems of each part, those that are left out not among them. making: what is
        kept of how parts come, under MAKING. Where the file of
        problems has changed, the parts whose problems are still the same are used. Raises
        InputError where none is.
        """
        kept = [int(path.stem.removeprefix("part-")) for path in self._paths()]
        settings = {name: own for name, own in (self.before or {}).items() if name not in MAKING}
        if self.before and settings != self.settings:
            own = dict(enumerate(groups))
            stale = [number for number in kept if not self._is_of(number, own.get(number, []))]
            if kept and len(stale) == len(kept):
                raise self._of_others("other problems")
            for number in stale:
                self.path(number).unlink()
            if stale:
                print(
                    f"{self.folder}: {len(stale)} of {len(kept)} parts sampled again: their "
                    f"problems have changed"
                )
            kept = [number for number in kept if number not in stale]
        self.settings |= making
        write_whole(self.record, json.dumps(self.settings))
        return [number for number, group in enumerate(groups) if group and number not in kept]

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _other_settings(self) -> str:
        """Return the settings that differ from those of the parts, and were; "" where none does.

        The file of problems may have another name: its problems are compared.
        """
        before, now = self.before or {}, self.settings
        return ", ".join(
            f"{name} {json.dumps(before.get(name))} there, {json.dumps(now.get(name))} now"
            for name in dict.fromkeys([*now, *before])
            if name not in (*PROBLEMS, *MAKING) and before.get(name) != now.get(name)
        )

    def _of_others(self, what: str) -> InputError:
        return InputError(
            f"{self.folder} holds parts sampled with {what}: repeat those, name another --out, or "
            f"remove it"
        )

    def _is_of(self, number: int, group: list[Asked]) -> bool:
        part = _read(self.path(number))
        names = ["group_id", "prompt", "gold", *(["row"] if "row" in part else [])]  # of a reward
        there = dict.fromkeys(part[names].itertuples(index=False, name=None))
        asked = [(n, prompt, problem.answer, row_text(problem)) for n, problem, prompt in group]
        return list(there) == [own[: len(names)] for own in asked]

    def lengths(self) -> list[int]:
        """Return how many tokens each completion so far has, one more where it was cut."""
        frames = [_read(path)[["completion_ids", "truncated"]] for path in self._paths()]
        return [
            len(ids) + bool(truncated)
            for frame in frames
            for ids, truncated in frame.itertuples(index=False, name=None)
        ]

    def path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"

    def write(self, number: int, rows: list[dict]) -> None:
        """Write a part, whole or not at all."""
        frame = pd.DataFrame(rows)
        write_whole(self.path(number), lambda path: frame.to_parquet(path, index=False))

    def join(self, left_out: dict[str, int]) -> pd.DataFrame:
        """Put the parts together as the table, then remove them; return all rows.

        Rows whose gold answer cannot be read are not in the table: they are not wrong.
        left_out: kept among the table's attributes, where any problem is, beside the settings.
        """
        every = pd.concat(map(_read, self._paths()), ignore_index=True)
        every.attrs = {"settings": self.settings}
        if left_out:
            every.attrs["left_out"] = left_out
        frame = every[every["status"] != "unparseable_gold"]
        write_whole(self.out, lambda path: frame.to_parquet(path, index=False))
        shutil.rmtree(self.folder)
        return every


def _read(path: Path) -> pd.DataFrame:
    try:
        part = pd.read_parquet(path)
        missing = {"group_id", "prompt", "gold", "completion_ids", "truncated"} - {*part.columns}
        reason = f"no {', '.join(sorted(missing))}" if missing else None
    except (OSError, ValueError) as error:  # of pyarrow too
        reason = " ".join(str(error).split())[:160]
    if reason is not None:
        raise InputError(f"{path}: not a part ({reason}): remove it, and it is sampled again")
    return part
