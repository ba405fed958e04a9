"""A run's folder: settings, metrics, completions, checkpoints and a model card."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import read_objects, require
from objectives.output_lock import held
from objectives.whole_files import append_whole, flush, is_partial, write_whole, writing
from train.devices import processes

GROWING = ("metrics.jsonl", "eval.jsonl", "diagnostics.csv")


class RunFolder:
    """Writes one run; refuses a folder that already holds something."""

    def __init__(self, path: Path):
        self.path = path
        self.plots = path / "plots"

    def create(self, config: dict) -> None:
        """Make the folder, and write `config.json` and an empty `metrics.jsonl`."""

        def make() -> None:
            require_no_run(self.path)
            # The settings first: without them there is no run, and the folder can be used again.
            write_whole(self.path / "config.json", json.dumps(config, indent=2) + "\n")
            with writing(self.path):
                self.plots.mkdir(exist_ok=True)
                (self.path / "metrics.jsonl").touch()

        processes.on_main(make)

    def write_resumed(self, config: dict, entry: dict | None) -> None:
        """Add to the settings with what the run goes on; None: with what it had, nothing is added.

        All processes call it, whatever each has read meanwhile.
        """
        entries = [*config.get("resumed", []), entry]
        text = json.dumps({**config, "resumed": entries}, indent=2) + "\n"
        path = self.path / "config.json"
        processes.on_main(lambda: None if entry is None else write_whole(path, text))

    def write_metrics(self, values: dict) -> None:
        """Append a line to `metrics.jsonl`."""
        self._append("metrics.jsonl", [values])

    def write_completions(self, step: int, completions: list[dict]) -> None:
        """Append an evaluation's completions to `eval.jsonl`."""
        self._append("eval.jsonl", [{"step": step, **row} for row in completions])

    def write_result(self, values: dict) -> None:
        """Write `result.json`, whole: the sign that the run is finished, and what it cost."""
        text = json.dumps(values, indent=2) + "\n"
        processes.on_main(lambda: write_whole(self.path / "result.json", text))

    def write_bad_batch(self, values: dict) -> Path:
        """Write `bad_batch.json`, what a step that could not be taken was made of."""
        path = self.path / "bad_batch.json"
        processes.on_main(lambda: write_whole(path, json.dumps(values) + "\n"))
        return path

    def write_diagnostics(self, columns: Sequence[str], rows: list[dict]) -> None:
        """Append rows to `diagnostics.csv`, which gets the columns as its first line."""
        path = self.path / "diagnostics.csv"
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, columns)
        if not path.exists() or not path.stat().st_size:
            writer.writeheader()
        writer.writerows(rows)
        append_whole(path, lines.getvalue())

    def _append(self, name: str, rows: list[dict]) -> None:
        if not processes.is_main():
            return
        append_whole(self.path / name, "".join(json.dumps(row) + "\n" for row in rows))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that no other command writes to it; freed when the process ends.

        Raises InUse where another does.
        """
        with ExitStack() as stack:

            def hold() -> None:
                stack.enter_context(held(self.path))

            processes.on_main(hold)
            yield

    def sizes(self) -> dict[str, int]:
        """Return the sizes in bytes of the files that grow while training, once on the disk."""
        paths = [path for name in GROWING if (path := self.path / name).exists()]
        for path in paths:
            with writing(path):
                flush(path)
        return {path.name: path.stat().st_size for path in paths}

    def cut(self, sizes: Mapping[str, int]) -> None:
        """Take the growing files back to what they were at `sizes`.

        Raises InputError where one has become shorter, so that lines would be missing.
        """
        if not processes.is_main():
            return
        for name in GROWING:
            path = self.path / name
            wanted, size = sizes.get(name, 0), path.stat().st_size if path.exists() else 0
            if size < wanted:
                raise InputError(
                    f"{path} is shorter than when the checkpoint was written ({size} of {wanted} "
                    f"bytes): put it back, or start again in another folder with --out"
                )
            if name in sizes:
                os.truncate(path, wanted)
            else:
                path.unlink(missing_ok=True)

    def write_card(self, text: str) -> None:
        """Write the model card, `README.md`."""
        write_whole(self.path / "README.md", text)


def require_free(path: Path, what: str = "a run", remedy: str = "") -> None:
    """Raise InputError where a folder, commonly of a run, would be written over.

    remedy: what to do first, before another name for the folder.
    """
    if path.exists() and (not path.is_dir() or any(not is_partial(p) for p in path.iterdir())):
        raise InputError(
            f"{path} already holds {what}: {remedy}name another with --out, or remove it"
        )


def require_no_run(path: Path) -> None:
    """Raise InputError where a new run would be written over another, or over something else."""
    unfinished = (path / "config.json").exists() and not (path / "result.json").exists()
    require_free(path, remedy="go on with --resume, " if unfinished else "")


def read_metrics(path: Path) -> list[dict]:
    """Return the lines of a run's `metrics.jsonl`: numbers by name, a step among them.

    Raises InputError, naming the line, for what is none.
    """
    file = path / "metrics.jsonl"
    lines = read_objects(file)
    for number, line in lines.items():
        where = f"{file} line {number}"
        require(where, line, {"step": int, **dict.fromkeys(line, (int, float))})
    return list(lines.values())
