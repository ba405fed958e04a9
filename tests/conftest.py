"""Fixtures: where the problem sets are, and a tiny table of rollouts."""

import json
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "shared" / "benchmarks"

torch.set_num_threads(1)  # models are tiny: more threads cost more than they give


@pytest.fixture
def benchmarks() -> Path:
    if not BENCHMARKS.is_dir():
        pytest.skip("the problem sets are not beside the repository (../shared/benchmarks)")
    return BENCHMARKS


@pytest.fixture
def write_rows(tmp_path):
    """Return a function that writes dicts as JSON Lines and returns the path as text."""

    def write(rows: list[dict], name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write
