"""What the project imports is what it asks pip for."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("objectives", "diagnostics", "eval", "train")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
IMPORTED_AS = {"pyyaml": "yaml", "mlflow_skinny": "mlflow"}
NOT_IMPORTED = {
    "gguf": "transformers imports it to read .gguf files",
    "pytest_benchmark": "pytest loads it",
    "wandb": "accelerate imports it",
    "build": "a command of tests/house/test_packaging.py",
    "import_linter": "a command of tests/house/test_style.py",
    "lm_eval": "a command of tests/eval/compare/evaluations/test_harness.py",
    "pyright": "a command of tests/house/test_types.py",
    "pandas_stubs": "pyright reads the types of pandas there",
    "pytest_xdist": "pytest loads it",
    "ruff": "a command of tests/house/test_style.py",
}


def imported(*folders):
    """Return the modules of others that files in these folders import, anywhere in a file."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module)
    ours = {*PACKAGES, "tests", *sys.stdlib_module_names}
    return {name.partition(".")[0] for name in found} - ours


def declared(requirements):
    """Return what is asked for, as it is imported."""
    names = {re.match(r"[\w-]+", text)[0].lower().replace("-", "_") for text in requirements}
    return {IMPORTED_AS.get(name, name) for name in names}


def test_what_is_imported_is_asked_for_and_nothing_else():
    ours, known = declared(PROJECT["dependencies"]), set(NOT_IMPORTED)
    extras = set().union(*(declared(asked) for name, asked in OPTIONAL.items() if name != "test"))
    assert imported(*PACKAGES) - extras == ours - known
    others = extras | declared(OPTIONAL["test"])
    assert imported("tests", *PACKAGES) - ours == others - known


@pytest.mark.parametrize(
    "requirement", sorted({*PROJECT["dependencies"]}.union(*OPTIONAL.values()))
)
def test_each_names_its_oldest_release_and_no_newest(requirement):
    """But TRL, whose measured speed is that of one release."""
    form = r"trl==[\d.]+\*" if requirement.startswith("trl") else r"[\w-]+(\[\w+\])?>=[\d.]+"
    assert re.fullmatch(form, requirement)
