"""The Python of eval's README runs and prints what the page shows."""

import re
from pathlib import Path

import pytest

from tests.helpers.run_folders import write_run

PAGE = (Path(__file__).parents[2] / "eval" / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)
*ALONE, OF_RUNS = EXAMPLES


def test_every_example_is_shown_with_what_it_prints():
    assert len(EXAMPLES) == PAGE.count("```python\n") == 5


@pytest.mark.parametrize(("code", "shown"), ALONE)
def test_an_example_prints_what_is_shown(code, shown, capsys):
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_the_example_with_runs_prints_such_a_table(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("fpa", "dpo", "offline_rl"):
        write_run(tmp_path / "runs" / "small" / name, name, {0: "0011", 2: "0111"})
    code, shown = OF_RUNS
    exec(code, {})
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == shown.splitlines()[0].split()
    assert {line.split()[1] for line in printed.splitlines()[1:]} == {"fpa", "dpo", "offline_rl"}
