"""The pages say what is so: their Python runs, commands have their flags, links lead somewhere."""

import ast
import contextlib
import io
import re
import runpy
import shlex
import sys
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from eval.problems.files import Problem
from eval.problems.rewards import load_reward
from objectives import OBJECTIVES
from objectives.command import COMMANDS
from objectives.testing import check
from train.config.flags import flag_name
from train.config.settings import Config

ROOT = Path(__file__).parents[2]
PACKAGES = ("objectives", "diagnostics", "eval", "train")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
README = (ROOT / "README.md").read_text()
TRAIN = (ROOT / "train" / "README.md").read_text()
WITH_OUTPUT = r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?"
SMALL = "steps=2, eval_limit=4, eval_samples=0"  # in place of what takes minutes


def _code(page, number):
    """Return a page's block of Python and what it says that it prints."""
    return re.findall(WITH_OUTPUT, page, re.DOTALL)[number]


def _commands(path):
    """Return the commands that a page shows, each in one line, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [part for line in lines for part in line.split("#")[0].split(" && ") if part.strip()]


def _slugs(path):
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def _tree():
    """Return the packages and their rooms, each with the first line of its docstring."""
    lines = set()
    for package in PACKAGES:
        for path in [ROOT / package, *sorted((ROOT / package).iterdir())]:
            if (path / "__init__.py").is_file():
                said = ast.get_docstring(ast.parse((path / "__init__.py").read_text()))
                depth = len(path.relative_to(ROOT).parts) - 1
                name = "  " * depth + path.name + "/"
                lines.add(f"{name:<19}{said.splitlines()[0]}")
    return lines


def test_the_house_is_as_its_rooms_say():
    shown = re.search(r"## The house\n.*?```\n(.*?)```", README, re.DOTALL)[1].splitlines()
    assert len(shown) == len(set(shown))
    assert set(shown) == _tree()


def test_the_loop_of_ones_own_has_gradients():
    names: dict = {}
    exec(_code(README, 0)[0], names)
    assert names["found"].shape == (2, 11)
    assert names["batch"].mask.sum(-1).tolist() == [7, 7]
    assert names["policy"].lm_head.weight.grad.abs().sum() > 0


def test_a_run_from_python_prints_scores_and_metrics(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, count = re.subn(r"steps=\d+", SMALL, _code(README, 1)[0])
    assert count == 1
    exec(code, {})
    printed = capsys.readouterr().out
    assert "greedy accuracy" in printed
    assert "'loss'" in printed
    assert (tmp_path / "runs" / "mine" / "result.json").is_file()


def test_runs_with_one_set_up_print_what_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, shown = _code(TRAIN, 1)
    exec(code, {})
    assert capsys.readouterr().out.endswith(shown)


def test_the_table_of_flags_has_all_of_each_group():
    expected = [
        f"| {group.__doc__.splitlines()[0].rstrip('.')} | "
        f"{', '.join(f'`{flag_name(entry.name)}`' for entry in fields(group))} |"
        for group in reversed(Config.__bases__)
    ]
    table = TRAIN.split("| group | flags |\n|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == expected


def test_every_block_of_python_is_run_here():
    assert [len(re.findall("```python", page)) for page in (README, TRAIN)] == [
        2,
        4,
    ]  # TRL's elsewhere


def test_the_objective_of_the_page_of_train_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    code, _ = _code(TRAIN, 0)
    (tmp_path / "margin.py").write_text(code)
    check(f"{tmp_path / 'margin.py'}:margin")


def test_the_reward_of_the_page_of_train_is_one(tmp_path):
    code, _ = _code(TRAIN, 3)
    (tmp_path / "reward.py").write_text(code)
    reward = load_reward(f"{tmp_path / 'reward.py'}:right_and_short")
    found = reward([Problem("2+3*1+3+6=", "14")] * 2, ["3*1=3;2+3=5;5+3=8;8+6=14;#14", "#9"])
    assert [own.reward for own in found] == pytest.approx([1 - 0.28, -0.02])


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_of_a_command_exists(name):
    for command in _commands(ROOT / name):
        words = shlex.split(command)
        if words[0] == "srun":  # a command for each machine
            words = shlex.split(words[-1].removeprefix("exec "))
        if "-m" in words and words[0] in ("python", "accelerate", "torchrun"):
            module, *rest = words[words.index("-m") + 1 :]
        elif words[0] == "zoo":
            module, rest = COMMANDS[words[1]][0], words[2:]
        else:
            assert words[0] in ("pip", "git", "cd", "ruff", "hf", "diff", "export"), command
            continue
        if module.split(".")[0] in PACKAGES:
            flags = {word.partition("=")[0] for word in rest if word.startswith("--")}
            chosen = rest[rest.index("--objective") + 1] if "--objective" in flags else None
            assert flags <= _flags(module, chosen), command


@cache
def _flags(module, chosen):
    """Return the flags that a command's help shows."""
    words = ["--objective", chosen] if chosen else []
    shown = io.StringIO()
    with (
        patch.object(sys, "argv", [module, *words, "--help"]),
        contextlib.redirect_stdout(shown),
        pytest.raises(SystemExit) as stop,
    ):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not stop.value.code
    return set(re.findall(r"--[a-z][\w-]*", shown.getvalue()))


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_picture_is_there(name):
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), target
        assert not anchor or anchor in _slugs(found), target


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_with_its_folder_is_there(name):
    for path in re.findall(r"`([\w.]+(?:/[\w.-]+)+\.(?:py|md|toml))`", (ROOT / name).read_text()):
        if path.split("/")[0] in (*PACKAGES, "tests"):
            assert (ROOT / path).is_file(), path


def test_the_zoo_has_as_many_objectives_as_is_said():
    bases = [name for name, entry in OBJECTIVES.items() if not entry.base]
    forms = [name for name, entry in OBJECTIVES.items() if entry.base]
    assert f"| {len(bases)}, and FPA of {len(forms)} |" in README


def test_the_citation_is_complete():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert cited["message"]
    assert cited["authors"] == [{"name": "The objective-zoo authors"}]
    for field, own in (("title", "name"), ("version", "version"), ("license", "license")):
        assert cited[field] == project[own]
    (paper,) = cited["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2509.19893"
