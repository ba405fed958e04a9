"""Has the runs of an experiment made, several at a time, each by a command of its own."""

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from eval.study.plan import Experiment
from objectives.errors import InputError


def make_missing(
    planned: Experiment, runs: Path, workers: int, known: Collection[str] = ()
) -> None:
    """Make those runs that are not there yet, in `runs`/experiment/name; what was begun goes on.

    known: runs whose results are kept already. workers: runs at a time, each with its share of the
    processor's cores. Raises InputError naming a run that failed, with what it said in the file
    beside it.
    """
    folder = runs / planned.name
    missing = [
        (name, words)
        for name, words in planned.runs()
        if name not in known and not (folder / name / planned.done).is_file()
    ]
    threads = max(1, (os.cpu_count() or 1) // workers)

    def make(run: tuple[str, list[str]]) -> str | None:
        name, words = run
        out = folder / name
        own = ["--out", str(out)]
        if planned.command == "train":
            own += ["--resume", "auto", "--quiet"]
            own += ["--reference-cache", "off" if "--online" in words else str(folder / "cache")]
        words = [word.replace("RUNS", str(runs)) for word in words]
        return None if _ended_well(planned.command, words + own, out, threads) else name

    with ThreadPoolExecutor(workers) as pool:
        failed = [name for name in tqdm(pool.map(make, missing), "runs", len(missing)) if name]
    if failed:
        raise InputError(f"{_output(folder / failed[0])} says why it failed; {len(failed)} did")


def _ended_well(command: str, words: Sequence[str], out: Path, threads: int) -> bool:
    out.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with _output(out).open("w", encoding="utf-8") as output:
        ended = subprocess.run(
            [sys.executable, "-m", command, *words],
            stdout=output, stderr=output, env=environment, check=False,
        )  # fmt: skip
    return ended.returncode == 0


def _output(out: Path) -> Path:
    return out.with_name(f"{out.name}.txt")
