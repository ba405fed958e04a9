"""Runs of a plan are trained once, and what fails says where it says why."""

import pytest

from eval.study.making import make_missing
from eval.study.plan import Experiment, Line
from objectives.errors import InputError

SMALL = {"steps": 1, "batch-size": 2, "eval-every": 0, "eval-limit": 2, "eval-samples": 0}


def test_missing_runs_are_trained_and_failed_ones_named(tmp_path):
    lines = (
        Line("fine", {"objective": "sft", **SMALL}, (1e-5,)),
        Line("wrong", {"objective": "sft", **SMALL, "model": str(tmp_path / "none")}, (1e-5,)),
    )
    planned = Experiment("small", (0,), lines)
    with pytest.raises(InputError, match=r"wrong/1e-05/0\.txt says why it failed; 1 did"):
        make_missing(planned, tmp_path, 2)
    assert "none" in (tmp_path / "small/wrong/1e-05/0.txt").read_text()
    result = tmp_path / "small/fine/1e-05/0/result.json"
    before = result.stat().st_mtime_ns
    make_missing(Experiment("small", (0,), lines[:1]), tmp_path, 2)
    assert result.stat().st_mtime_ns == before
