"""What packages give by name: all of it is there, and importing a package does nothing else."""

import subprocess
import sys
from importlib import import_module

import pytest

FACES = [
    "eval",
    "eval.problems",
    "eval.compare",
    "diagnostics",
    "diagnostics.entanglement",
    "diagnostics.extrapolation",
    "diagnostics.curves",
    "objectives",
    "train",
]
HEAVY = {"transformers", "datasets", "peft", "pandas", "seaborn", "matplotlib", "sympy"}


def _loaded_by(code):
    """Return the packages that a fresh interpreter has loaded after some code."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("package", FACES)
def test_a_face_gives_every_name_it_lists_and_no_other(package):
    face = import_module(package)
    assert face.__all__
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert name in dir(face)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'no_such'"):
        face.no_such  # noqa: B018


@pytest.mark.parametrize("package", FACES)
def test_importing_a_package_brings_in_nothing_heavy(package):
    assert not _loaded_by(f"import {package}") & HEAVY


def test_a_name_brings_in_what_it_needs_alone():
    loaded = _loaded_by("from eval import grade, Grade")
    assert not loaded & HEAVY
    assert "transformers" in _loaded_by("from eval import generate")


def test_a_grading_worker_waits_for_nothing_but_its_parser():
    loaded = _loaded_by("import eval.grading_worker")
    assert "sympy" in loaded
    assert not loaded & {"torch", "transformers", "pandas"}


DRAWING = """
import json, sys
from pathlib import Path
import matplotlib
before = dict(matplotlib.rcParams)

from eval.compare import compare_runs, read_runs
from eval.compare.plots import pictures
from tests.helpers.run_folders import write_run
from train.run.plots import plot_comparison, plot_run

folder = Path(sys.argv[1])
runs = {n: write_run(folder / n, n, {0: "01", 2: "11"}) for n in ("fpa", "dpo", "offline_rl")}
for run in runs.values():
    (run / "plots").mkdir()
    plot_run(run, "title")
plot_comparison(runs, folder / "few.png")
plot_comparison({str(n): runs["fpa"] for n in range(8)}, folder / "many.png")
pictures(compare_runs(read_runs([folder], set())[0], "greedy", "offline_rl"))

assert dict(matplotlib.rcParams) == before
assert not matplotlib.pyplot.get_fignums()
"""


def test_drawing_changes_nothing_of_matplotlib(tmp_path):
    """Whoever draws figures of their own keeps backend, style and list of figures."""
    words = [sys.executable, "-c", DRAWING, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"few.png", "many.png"} <= {file.name for file in tmp_path.iterdir()}
