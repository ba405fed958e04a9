"""Trains the runs of an experiment, several at a time, each by a command of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from eval.study.plan import Experiment
from objectives.errors import InputError

DONE = "result.json"


def train_missing(experiment: Experiment, folder: Path, workers: int) -> None:
    """Train those runs that are not there yet, to `folder`/`name`; what was interrupted goes on.

    workers: runs at a time, each with its share of the processor's cores. Raises InputError naming
    the runs that failed, with what they said in the file beside them.
    """
    missing = [run for run in experiment.runs() if not (folder / run[0] / DONE).is_file()]
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ThreadPoolExecutor(workers) as pool:
        left = pool.map(lambda run: _train(run[0], run[1], folder, threads), missing)
        failed = [name for name in tqdm(left, "runs", len(missing)) if name is not None]
    if failed:
        raise InputError(f"{_output(folder / failed[0])} says why it failed; {len(failed)} did")


def _train(name: str, words: Sequence[str], folder: Path, threads: int) -> str | None:
    """Train one run; return its name where it failed."""
    out = folder / name
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "train", *words, "--out", str(out), "--resume", "auto", "--quiet",
        "--reference-cache", str(folder / "reference-cache"),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with _output(out).open("w", encoding="utf-8") as output:
        ended = subprocess.run(command, stdout=output, stderr=output, env=environment, check=False)
    return name if ended.returncode else None


def _output(out: Path) -> Path:
    return out.with_name(f"{out.name}.txt")
