"""The page of diagnostics: its Python prints what it shows, and it names what there is."""

import re
from pathlib import Path

import pandas as pd
import pytest

from diagnostics.curves import measures
from diagnostics.entanglement.pair_products import REGIMES
from diagnostics.extrapolation import score

FOLDER = Path(__file__).parents[2] / "diagnostics"
PAGE = (FOLDER / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)


def test_every_example_is_shown_with_what_it_prints():
    assert len(EXAMPLES) == PAGE.count("```python\n") == 4


@pytest.mark.parametrize(("code", "shown"), EXAMPLES)
def test_an_example_prints_what_is_shown(code, shown, capsys):
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_every_quantity_of_the_curves_is_named():
    names = [measures.LOG_PROB, measures.QUANTILE, measures.COSINE, measures.COSINE_PART]
    names += [measures.WINDOW_LOW, measures.WINDOW_HIGH, measures.RATIO, measures.INSIDE]
    names += [measures.REGIME, measures.GAINED, measures.FORGOTTEN]
    names += [score.ERROR, score.SKILL, score.WEIGHT_ERROR, score.BEST_LAM, score.BEST_ERROR]
    names += [score.BEST_SKILL, score.DISPLACEMENT_COSINE, *REGIMES]
    assert [name for name in names if name not in PAGE] == []


def test_every_column_of_the_pairs_is_named(table_of_pairs):
    told = re.search(r"\| `pairs.csv` \| (.*)\|", PAGE)[1]
    patterns = [r"share_(shared|distinct)(_(shared|distinct))?", r"(ratio|weight|regime)_dpo_\w+"]
    for column in table_of_pairs:
        known = column in re.findall(r"\w+", told)
        assert known or any(re.fullmatch(pattern, column) for pattern in patterns), column


@pytest.fixture
def table_of_pairs():
    from tests.diagnostics.entanglement.test_command import COLUMNS

    return pd.DataFrame(columns=[*COLUMNS, "ratio_dpo_now", "weight_dpo_now", "regime_dpo_future"])


def test_rooms_are_named():
    rooms = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    told = PAGE.split("## The rooms")[1]
    assert all(f"`{room}/`" in told for room in rooms)
    assert all(f"`{file}`" in told for file in files)
