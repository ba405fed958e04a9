"""What is built for others: a wheel that works when installed, an sdist that can test itself."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("objectives", "diagnostics", "eval", "train")
NOT_SOURCE = (
    ".git", "*.egg-info", "__pycache__", ".*cache", ".benchmarks", ".hypothesis", ".venv", "build",
    "dist", "runs",
)  # fmt: skip
OF_THE_PAGE = {".md", ".png", ".csv"}
MADE = re.compile(r"PKG-INFO|setup\.cfg|.*\.egg-info/.*")


def run(*words, cwd):
    """Return what a command prints; it sees nothing of the folder that the tests run in."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, capture_output=True, text=True,
        env={**clean, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a folder with `source`, the sdist of it unpacked, and the wheel made of that."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*NOT_SOURCE))
    before = files(folder / "source")
    words = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ".")
    run(*words, cwd=folder / "source")
    shutil.unpack_archive(next(folder.glob("*.tar.gz")), folder)
    (unpacked,) = (path.parent for path in folder.glob("*/PKG-INFO"))
    unpacked.rename(folder / "sdist")
    return folder, before


@pytest.fixture(scope="module")
def wheel(built):
    return next(built[0].glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the commands' folder of an environment with the wheel and our own dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps")
    run(*pip, wheel, cwd=folder)
    # Named in a .pth file, a folder lends its packages, but not what is installed editable there.
    (packages,) = folder.glob("lib/*/site-packages")
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
    return folder / "bin"


def test_the_sdist_holds_the_repository(built):
    folder, source = built
    assert {name for name in files(folder / "sdist") if not MADE.fullmatch(name)} == source
    assert {
        "LICENSE",
        "CITATION.cff",
        "tests/objectives/oracles/trl.json",
        "train/scaling.png",
    } <= source


def test_the_wheel_holds_the_packages_and_nothing_else(built, wheel):
    of_packages = {name for name in built[1] if name.startswith(tuple(f"{p}/" for p in PACKAGES))}
    wanted = {name for name in of_packages if Path(name).suffix not in OF_THE_PAGE}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= wanted


def test_its_page_points_at_no_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    page, readme = metadata.get_payload(), (ROOT / "README.md").read_text()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "](objectives/README.md" in readme
    targets = re.findall(r"\]\(([^)]*)\)", page)
    assert all(target.startswith(("http", "#")) for target in targets)
    blocks = re.compile(r"```.*?```", re.DOTALL)
    assert blocks.findall(page) == blocks.findall(readme)


def test_an_installed_copy_imports_and_lists(installed, tmp_path):
    code = f"import {', '.join(PACKAGES)}; print(objectives.__file__, train.__file__)"
    printed = run(installed / "python", "-c", code, cwd=tmp_path)
    assert printed.count(str(installed.parent / "lib")) == 2
    assert "\nfpa" in run(installed / "python", "-m", "train", "--list", cwd=tmp_path)


def test_the_command_trains_beside_names_like_ours(installed, tmp_path):
    (tmp_path / "eval").mkdir()
    for name in ("train.py", "eval/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('a script of the user was run')\n")
    words = "train --objective fpa --steps 1 --batch-size 4 --eval-limit 2 --eval-samples 0"
    assert "greedy accuracy" in run(installed / "zoo", *words.split(), cwd=tmp_path)
    assert (tmp_path / "runs/fpa/result.json").is_file()


def test_the_sdist_can_test_itself(built):
    """All of its tests are found, with what they import; some are run."""
    some = "test_oracles or test_packages or test_dependencies"
    run(sys.executable, "-m", "pytest", "-k", some, cwd=built[0] / "sdist")
