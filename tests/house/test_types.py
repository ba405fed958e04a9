"""A type checker finds nothing to say of the packages, and knows each objective's own keywords."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLEAN = ["objectives", "diagnostics", "eval", "train"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None, reason="pyright is not installed"
)


def complaints(*paths):
    """Return what pyright says of files or folders, a (line, message) each."""
    words = ["-m", "pyright", "--pythonpath", sys.executable, "--outputjson", *map(str, paths)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [
        (x["range"]["start"]["line"] + 1, f"{x['file']}: {x['message']}")
        for x in found
        if x["severity"] == "error"
    ]


def test_the_packages_are_typed():
    assert complaints(*CLEAN) == []
    assert all((ROOT / package / "py.typed").exists() for package in CLEAN)


USE = """
from torch import Tensor

from objectives import Batch, Objective, dpo, fpa, fpa_kto, future_policy, per_pair, simpo


def right(policy: Tensor, batch: Batch, **hyper) -> Tensor:
    dpo(policy, batch, beta=0.1)
    dpo(policy=policy, batch=batch, label_smoothing=0.1)
    fpa_kto(policy, batch, desirable_weight=2.0, apply_to="negative")
    future_policy(simpo)(policy, batch, gamma_ratio=0.1, apply_to="both")
    Objective(fpa, "")
    Objective(dpo, "", future=future_policy(dpo))
    print(dpo.unit.upper(), fpa.needs[0], fpa.base.__name__)
    return batch.reference + dpo(policy, batch, **hyper)


@per_pair()
def difference(policy: Tensor, batch: Batch, *, scale: float = 1.0) -> Tensor:
    return scale * (policy[batch.pairs[:, 0]] - policy[batch.pairs[:, 1]]).sum(-1)


def wrong(policy: Tensor, batch: Batch):
    dpo(policy, batch, btea=0.1)  # wrong
    dpo(policy, batch, beta="strong")  # wrong
    dpo(policy, batch, 0.1)  # wrong
    fpa_kto(policy, batch, beta=0.1, weight=2.0)  # wrong
    fpa(policy, batch, apply_to="none")  # wrong
    fpa(policy, batch, granularity="word")  # wrong
    future_policy(simpo)(policy, batch, gama_ratio=0.1)  # wrong
    difference(policy, batch, scale=2.0)
    difference(policy, batch, scales=2.0)  # wrong
    dpo.units  # wrong
"""


def test_a_misspelt_keyword_is_a_type_error(tmp_path):
    use = tmp_path / "use.py"
    use.write_text(USE)
    found = complaints(use)
    wrong = [n for n, line in enumerate(USE.splitlines(), 1) if line.endswith("# wrong")]
    assert [line for line, _ in found] == wrong, found
    assert "btea" in found[0][1]
