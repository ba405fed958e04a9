"""The page of objectives/ says what is so: its code runs, its outputs and tables are true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from objectives import OBJECTIVES, Batch
from objectives.batch import log_prob_mean
from tests.helpers.zoo import loss_and_gradient, random_batch

FOLDER = Path(__file__).parents[2] / "objectives"
README = (FOLDER / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", README, re.DOTALL)


def table(heading):
    """Return the rows of the first table below a heading, as lists of cells."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


@pytest.mark.parametrize(("code", "shown"), [example for example in CODE if example[1]])
def test_an_example_prints_what_is_shown(code, shown, capsys):
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_the_command_prints_what_is_shown():
    words, shown = re.search(
        r"This is `python (.*?)`:\n\n```\n(.*?)```", README, re.DOTALL
    ).groups()
    done = subprocess.run([sys.executable, *words.split()], capture_output=True, text=True)
    assert done.stdout == shown


def test_the_table_of_objectives_is_the_registry():
    expected = [
        [f"`{name}`", entry.unit, ", ".join(n for n in entry.needs if n != "pairs") or "-",
         entry.summary]
        for name, entry in OBJECTIVES.items() if not entry.base or name == "fpa"
    ]  # fmt: skip
    assert table("The objectives") == expected


def test_the_table_of_the_batch_has_its_fields():
    assert [row[0].strip("`") for row in table("The batch")] == list(Batch._fields)


def test_the_table_of_files_has_every_file():
    named = {name for row in table("Files") for name in re.findall(r"`(\w+\.py)`", row[0])}
    assert named == {path.name for path in FOLDER.glob("*.py") if not path.name.startswith("__")}


def test_the_objectives_without_a_form_are_those_named():
    named = re.search(r"Those of (.*?) do not", README)[1]
    without = {n for n, entry in OBJECTIVES.items() if not entry.base and entry.future is None}
    assert set(re.split(", | and ", named)) == without


def test_the_new_objective_works():
    names: dict = {}
    exec(next(code for code, _ in CODE if "def " in code), names)
    policy, batch = random_batch()
    loss, _ = loss_and_gradient(names["squared_rl"], policy, batch, power=1.0)
    torch.testing.assert_close(loss, -batch.reward * log_prob_mean(policy, batch.mask).exp())
    _, gradient = loss_and_gradient(names["fpa_squared_rl"], policy, batch)
    _, ahead = loss_and_gradient(names["squared_rl"], batch.future, batch)
    torch.testing.assert_close(gradient, ahead)
