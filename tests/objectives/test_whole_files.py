"""Files are written whole or not at all: on a full disk, and where something is raised within."""

import re
import resource
from contextlib import contextmanager

import pytest

from objectives.errors import InputError
from objectives.whole_files import append_whole, is_partial, whole_folder, write_whole


@contextmanager
def largest_file(size):
    """Let no file grow beyond a size: writing more fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("content", ["x" * 100, b"x" * 100, lambda path: path.write_text("x" * 99)])
def test_a_file_stays_as_it_was_where_the_disk_is_full(tmp_path, content):
    target = tmp_path / "table.csv"
    target.write_text("before")
    with (
        largest_file(50),
        pytest.raises(InputError, match=rf"{re.escape(str(target))} cannot be .*free some space"),
    ):
        write_whole(target, content)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
    write_whole(target, content)
    assert target.read_text() in ("x" * 100, "x" * 99)
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_appended_is_there_whole_or_not_at_all(tmp_path):
    target = tmp_path / "metrics.jsonl"
    append_whole(target, "first\n")
    with largest_file(10), pytest.raises(InputError, match=r"metrics\.jsonl cannot be written"):
        append_whole(target, "second\n")
    assert target.read_text() == "first\n"
    append_whole(target, "second\n")
    assert target.read_text() == "first\nsecond\n"


def make(target, *texts, raises=None):
    with whole_folder(target) as folder:
        (folder / "inner").mkdir()
        for number, text in enumerate(texts):
            (folder / "inner" / f"file-{number}").write_text(text)
        if raises is not None:
            raise raises


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_is_there_whole_or_not_at_all(tmp_path, there):
    target = tmp_path / "merged"
    if there:
        target.mkdir()
    with largest_file(10), pytest.raises(InputError, match="merged cannot be written"):
        make(target, "here", "x" * 100)
    with pytest.raises(KeyboardInterrupt):
        make(target, "here", raises=KeyboardInterrupt)
    assert target.exists() == there
    assert not list(tmp_path.rglob("inner"))
    make(target, "here")
    assert (target / "inner" / "file-0").read_text() == "here"
    assert [path.name for path in target.iterdir()] == ["inner"]


def test_the_working_folder_is_filled_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_folder(tmp_path) as folder:
        (folder / "small").write_text("here")
    assert [path.name for path in tmp_path.cwd().iterdir()] == ["small"]


def test_what_is_no_fault_of_the_disk_is_raised_as_it_is(tmp_path):
    def fails(path):
        path.write_text("half")
        raise ValueError("no table")

    with pytest.raises(ValueError, match="no table"):
        write_whole(tmp_path / "table.csv", fails)
    assert not list(tmp_path.iterdir())


def test_text_that_has_no_encoding_is_written_as_it_is_spelt(tmp_path):
    write_whole(tmp_path / "card.md", "λ of \ud800")
    assert (tmp_path / "card.md").read_bytes() == "λ of \\ud800".encode()


def test_what_a_killed_command_left_is_known_by_its_name(tmp_path):
    with whole_folder(tmp_path / "merged"):
        (left,) = tmp_path.iterdir()
        assert is_partial(left)
    assert not is_partial(tmp_path / "merged")
