"""What an installed copy holds: every package with its modules and its data."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).parents[2]
PACKAGES = ("objectives", "diagnostics", "eval", "train")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
DATA = {
    "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
    "tokenizer_config.json", "rollouts.parquet",
    *(f"{name}.{kind}" for name in ("qwen2.5-math-7b", "deepseek-math-7b", "llama-3.2-3b-instruct")
      for kind in ("toml", "json")),
}  # fmt: skip


def files(pattern):
    found = [path for name in PACKAGES for path in (ROOT / name).rglob(pattern)]
    return [path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts]


def test_every_folder_with_modules_is_a_package():
    found = find_packages(str(ROOT), **SETTINGS["packages"]["find"])
    folders = {".".join(path.parent.parts) for path in files("*.py")}
    assert folders == set(found)


def test_a_package_comes_with_its_data():
    """All that is neither a module nor of the page, which is read in the repository."""
    packed = set()
    for package, patterns in SETTINGS["package-data"].items():
        folder = Path(*package.split("."))
        assert (ROOT / folder / "__init__.py").is_file(), package
        for pattern in patterns:
            matching = [path for path in files("*") if fnmatch(str(path), str(folder / pattern))]
            assert matching, f"{package}: {pattern} is no file"
            packed.update(matching)
    of_the_page = (".py", ".png", ".md", ".csv")
    wanted = {p for p in files("*") if (ROOT / p).is_file() and p.suffix not in of_the_page}
    assert wanted == packed
    assert {path.name for path in packed} >= DATA
