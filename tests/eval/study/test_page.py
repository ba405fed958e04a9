"""The study's page says what its results say."""

import pytest

from eval.study import page
from eval.study.curves import curves
from eval.study.plan import experiment
from eval.study.records import read_records
from eval.study.tables import chosen_rate
from objectives.errors import InputError


def test_tables_and_figures_are_those_of_the_results():
    assert page.stale() == []


@pytest.mark.parametrize("name", ["chains", "chains-6"])
def test_lines_are_judged_at_the_rates_that_the_screen_chose(name):
    screen = curves(read_records(f"{name}-screen"))
    for line in experiment(name).lines:
        assert line.values == (chosen_rate(screen, line.name),), line.name


def test_what_differs_is_named(tmp_path, monkeypatch):
    text = page.PAGE.read_text()
    number = page.NUMBER.findall(page.BLOCK.search(text)[3])[0]
    changed = text.replace(number, ".9999", 1)
    monkeypatch.setattr(page, "PAGE", tmp_path / "STUDY.md")
    page.PAGE.write_text(changed)
    assert page.stale() == ["its tables"]
    page.PAGE.write_text(f"{text}\nIt was .8642, which is `.97531`.\n")
    assert page.stale() == [".8642, which stands in no table"]
    page.PAGE.write_text("<!-- table none -->\n<!-- end -->\n")
    with pytest.raises(InputError, match="no table is called none: rates, chains"):
        page.stale()
    monkeypatch.setattr(page, "FIGURES", tmp_path)
    page.PAGE.write_text(text)
    assert page.stale() == [f"{name}.png" for name in page.FIGURE_MAKERS]
