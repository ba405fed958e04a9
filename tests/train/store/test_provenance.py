"""What is recorded of versions and of the revision, and what is said where they differ."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.train.store.test_digests import COMMAND, PROBLEMS, ROWS
from train.__main__ import main
from train.models.identity import model_digest
from train.store.provenance import ROOT, changes, git_revision, own_version, provenance

RECORDED = {
    "torch", "transformers", "datasets", "accelerate", "peft", "tokenizers", "numpy", "math-verify",
    "latex2sympy2-extended", "sympy",
}  # fmt: skip


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_versions_are_those_that_are_installed():
    found = provenance("a command")
    versions = found["versions"]
    assert set(versions) == RECORDED | {"python", "objective-zoo"}
    assert {name: versions[name] for name in RECORDED} == {n: version(n) for n in RECORDED}
    assert versions["objective-zoo"] == own_version(ROOT)
    assert found["command"] == "a command"


def test_the_version_of_a_source_is_its_own(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "objective-zoo"\nversion = "7.1"\n')
    assert own_version(tmp_path) == "7.1"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "8"\n')
    assert own_version(tmp_path) != "8"


def test_the_revision_of_a_checkout_is_marked_where_it_is_dirty(checkout, monkeypatch):
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook
    assert git_revision(checkout) == commit
    (checkout / "code.py").write_text("2\n")
    assert git_revision(checkout) == f"{commit}-dirty"


def test_what_is_installed_within_another_checkout_has_no_revision(checkout, tmp_path_factory):
    inside = checkout / "env" / "site-packages"
    inside.mkdir(parents=True)
    assert git_revision(inside) is None
    assert git_revision(tmp_path_factory.mktemp("plain")) is None


def test_what_differs_is_said_in_a_line():
    then = {"git_revision": "a", "versions": {"torch": "2", "peft": "1", "numpy": "1", "old": "1"}}
    now = {"git_revision": "b", "versions": {"torch": "2", "peft": "2", "numpy": None, "new": "1"}}
    assert changes(then, now) == "begun with git revision a, now b; peft 1, now 2"
    assert changes(then, then) is changes({}, now) is changes({"versions": 3}, now) is None


def test_a_runs_settings_have_all_of_it(call, write_rows, tmp_path):
    write_rows(ROWS)
    write_rows(PROBLEMS, "problems.jsonl")
    words = COMMAND.replace("--model model", "--model builtin").replace("--steps 2", "--steps 0")
    assert call(main, words)[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["versions"] == provenance("")["versions"]
    assert config["digests"]["base"] == model_digest("builtin")
    assert set(config["digests"]) == {"base", "data", "eval_problems"}
