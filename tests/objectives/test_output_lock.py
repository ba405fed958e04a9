"""One command writes to a place at a time, by whatever way a path leads there."""

import os
import signal
import time
from pathlib import Path

import pytest

from objectives import output_lock
from objectives.output_lock import InUse, held
from tests.helpers.forked import Forked


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(output_lock, "LOOKING", 0.1)


@pytest.mark.parametrize("other", ["place", "./place", "far/../place", "link", "far/back/place",
                                   "{}/place"])  # fmt: skip
@pytest.mark.parametrize("there", [True, False])
def test_it_is_the_same_place_by_every_way(other, there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "back").symlink_to("..")
    (tmp_path / "link").symlink_to("place")
    if there:
        (tmp_path / "place").mkdir()
    path = Path(other.format(tmp_path))
    refused = pytest.raises(InUse, match="another command is writing there")
    with held(path), refused, held(tmp_path / "place"):
        pass
    with held(path), held(tmp_path / "other"):
        pass
    with held(tmp_path / "place"):
        pass


def test_what_a_killed_process_held_is_free(tmp_path):
    def hold():
        with held(tmp_path / "run"):
            print("held")
            time.sleep(100)

    command = Forked(hold, tmp_path / "work")
    command.wait_for("held")
    with pytest.raises(InUse), held(tmp_path / "run"):
        pass
    assert command.stopped_by(signal.SIGKILL)[0] == -signal.SIGKILL
    assert os.listdir(tmp_path).count(".run.lock") == 1
    with held(tmp_path / "run"):
        pass
