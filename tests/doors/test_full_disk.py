"""Wherever a disk is full, a command says so in one line, and again it ends in the same bits."""

import os
import re
import resource
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from objectives.whole_files import is_partial
from tests.doors.conftest import door

WRITING = os.O_WRONLY | os.O_RDWR


class Disk:
    """Lets no file grow any more from the n-th opening of a file for writing on."""

    def __init__(self):
        self.left, self.folder, self.opened = -1, "", 0
        sys.addaudithook(self._look)  # which cannot be taken away again

    def _look(self, event, arguments):
        if event != "open" or self.left < 0 or not isinstance(arguments[0], str | bytes):
            return
        path, mode, flags = arguments
        writes = set(mode or "") & set("wax+") or flags & WRITING
        if writes and os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            self.opened += 1
            if self.opened > self.left:
                _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))

    @contextmanager
    def full_after(self, count, folder):
        """Fill it after so many openings of files in a folder."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.left, self.folder, self.opened = count, str(folder), 0
        try:
            yield self
        finally:
            self.left = -1
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def disk():
    return Disk()


SHORT = "--data rows.jsonl --steps 2 --batch-size 2 --out made --quiet"
COMMANDS = {
    "train": (
        f"train --objective fpa {SHORT} --checkpoint-every 1 --reference-cache made.cache "
        f"--eval-problems problems.jsonl --eval-samples 0 --eval-max-new-tokens 2 "
        f"--diagnose-every 1 --diagnose extrapolation --diagnose-pairs 2 --resume auto"
    ),
    "train, an adapter": f"train --objective dpo {SHORT} --lora-rank 1 --eval-problems none "
    f"--resume auto --token-cache made.ids",
    "rollouts": "train.rollouts --model builtin --problems problems.jsonl --samples 2 "
    "--batch-size 2 --max-new-tokens 3 --out made.parquet",
    "worked answers": "train.worked_answers --problems problems.jsonl --out made.jsonl",
    "merge": "train.merge --model run/checkpoints/step-2 --out made",
    "eval": "eval --problems problems.jsonl --max-new-tokens 3 --batch-size 1 --out made",
    "eval again": "eval --completions evaluated/completions.jsonl --problems problems.jsonl "
    "--out made",
    "compare": "eval.compare run --baseline dpo --out made",
    "entanglement": "diagnostics.entanglement --data rows.jsonl --pairs 2 --parameters head "
    "--out made",
    "extrapolation": "diagnostics.extrapolation --run run --out made",
}
TIMED = re.compile(r'"(seconds|\w+_seconds|peak_memory_bytes|command)": [^,\n}]+')


def contents(folder: Path) -> dict[str, bytes]:
    """Return what a command has made, without the times that it took."""
    found = {}
    for path in sorted(folder.glob("made*/**/*")) + sorted(folder.glob("made*")):
        if path.is_file() and path.suffix != ".lock" and "unfinished" not in str(path):
            content = path.read_bytes()
            if path.suffix in (".json", ".jsonl"):
                content = TIMED.sub(r'"\1": -', content.decode()).encode()
            if path.suffix not in (".png", ".html") and path.name != "README.md":
                found[str(path.relative_to(folder))] = content
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(call, valid, tmp_path, disk, name):
    command, *words = COMMANDS[name].split()
    for source in ("run", "rows.jsonl", "problems.jsonl", "evaluated"):
        copy = shutil.copytree if (valid / source).is_dir() else shutil.copy
        copy(valid / source, tmp_path / source)
    status, _, err = call(door(command), words)
    assert status == 0, err
    whole, failed = contents(tmp_path), 0
    assert whole
    while True:
        for path in tmp_path.glob("*made*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with disk.full_after(failed, tmp_path):
            status, _, err = call(door(command), words)
        if status == 0:
            break
        failed += 1
        assert status == 2, err
        *bars, line = err.strip().splitlines()  # a bar that was begun stays
        assert all(re.search(r"\d+%|\d+/\d+", bar) for bar in bars), err
        assert re.match(r"error: made[^ ]* cannot be written \(File too large\)", line), err
        assert not [path for path in tmp_path.rglob("*") if is_partial(path)]
        status, _, err = call(door(command), words)
        assert status == 0, err
        assert contents(tmp_path) == whole
    assert failed > 0
