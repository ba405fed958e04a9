"""Fixtures: where the problem sets are, tables of rows, and commands run in this process."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import hypothesis
import pytest
import torch

from objectives.errors import command_line
from train.run.setup import SHARED, set_up

BENCHMARKS = Path(__file__).parents[2] / "shared" / "benchmarks"

torch.set_num_threads(1)  # models are tiny: more threads cost more than they give
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


def pytest_addoption(parser):
    parser.addoption(
        "--gpu",
        action="store_true",
        help="leave GPUs visible and skip the tests whose numbers are a CPU's (marked cpu)",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "cpu: of what is the same on every CPU, or forks a process")
    if not config.getoption("--gpu"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(config, items):
    if config.getoption("--gpu"):
        skip = pytest.mark.skip(reason="of a CPU, and --gpu was given")
        for item in items:
            if item.get_closest_marker("cpu"):
                item.add_marker(skip)


@pytest.fixture
def benchmarks() -> Path:
    if not BENCHMARKS.is_dir():
        pytest.skip("the problem sets are not beside the repository (../shared/benchmarks)")
    return BENCHMARKS


@pytest.fixture(scope="session")
def setup_of() -> Callable:
    """Return a function that gives a set-up for settings, made once for all that can share it.

    Nobody changes its base: who does so, as the last run of a command, makes one alone.
    """
    made = {}

    def setup_of(config):
        # With an adapter the base may be kept in another dtype.
        kind = config.online, config.lora_rank is not None
        key = (*(getattr(config, name) for name in SHARED), *kind)
        if key not in made:
            made[key] = set_up(config)
        return made[key].with_config(config)

    return setup_of


@pytest.fixture
def write_rows(tmp_path):
    """Return a function that writes dicts as JSON Lines and returns the path as text."""

    def write(rows: list[dict], name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


@pytest.fixture
def call(monkeypatch, capsys, tmp_path) -> Callable:
    """Return a function that runs a `main` with words in an empty folder: (status, out, err)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # no retries

    def run(main, words):
        words = words.split() if isinstance(words, str) else map(str, words)
        monkeypatch.setattr(sys, "argv", ["command", *words])
        try:
            command_line(main)
            status = 0
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        # As a terminal shows it: a progress bar writes over itself.
        return status, out, re.sub(r"[^\n]*\r", "", err)

    return run
