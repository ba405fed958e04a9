"""The page of the study: its tables between marks in the text, its figures beside the results."""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from eval.compare.words import markdown
from eval.study import figures, tables
from eval.study.curves import Curve, curves
from eval.study.records import RESULTS, read_records
from eval.study.scores import read_scores
from eval.study.signs import falls_table, signs_table
from objectives.errors import InputError
from objectives.figures import literal
from objectives.whole_files import write_whole

PAGE = Path(__file__).parents[1] / "STUDY.md"
FIGURES = Path(__file__).parent
DPI = 110
SOURCE = "Source"  # of a figure's PNG: a digest of what it was drawn from
NUMBER = re.compile(r"(?<![\w.])[+-]?\d*\.\d+(?![\w.])")
QUOTED = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|arXiv [\d.]+", re.DOTALL)
BLOCK = re.compile(r"(<!-- table (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "rates": lambda: tables.rates_table(_curves("chains-screen")),
    "chains": lambda: tables.accuracy_table(_curves("chains")),
    "aggregates": lambda: tables.aggregates_table(_curves("chains")),
    "falls": lambda: falls_table(_curves("chains")),
    "signs": lambda: signs_table(_curves("chains")),
    "rates-6": lambda: tables.rates_table(_curves("chains-6-screen")),
    "horizons": lambda: tables.horizons_table(
        {"n = 6": _curves("chains-6"), "n = 8": _curves("chains")}
    ),
    "ahead": lambda: tables.samplings_table(
        {"λ =": read_scores("ahead"), "temperature": read_scores("cooler")}
    ),
}
# The experiment that a figure is made of, and what draws it.
FIGURE_MAKERS: dict[str, tuple[str, Callable[[list[Curve]], Figure]]] = {
    "chains": ("chains", figures.draw_steps),
    "differences": ("chains", figures.draw_differences),
    "compute": ("chains", figures.draw_compute),
}


def made() -> list[Path]:
    """Write all tables into the page and all figures; return the files."""
    write_whole(PAGE, _filled(_text()))
    files = [PAGE]
    for name, (experiment, draw) in FIGURE_MAKERS.items():
        figure = draw(_curves(experiment))
        literal(figure)
        files.append(FIGURES / f"{name}.png")
        source = {SOURCE: _digest(experiment)}
        write_whole(files[-1], lambda path, f=figure, s=source: _save(f, path, s))
    return files


def stale() -> list[str]:
    """Return what of the page is not what the results say, by name; nothing is written."""
    text = _text()
    found = [] if _filled(text) == text else ["its tables"]
    for name, (experiment, _) in FIGURE_MAKERS.items():
        file = FIGURES / f"{name}.png"
        # Text in a PNG is not compressed.
        if not file.is_file() or _digest(experiment).encode() not in file.read_bytes():
            found.append(file.name)
    strange = strange_numbers(text)
    return found + [f"{number}, which stands in no table" for number in strange]


def strange_numbers(text: str) -> list[str]:
    """Return numbers with a decimal point in the page's prose that stand in none of its tables."""
    known = {
        number.lstrip("+-") for block in BLOCK.finditer(text) for number in NUMBER.findall(block[3])
    }
    prose = re.sub(
        r"```.*?```|`[^`]*`|\]\([^)]*\)|arXiv [\d.]+", "", BLOCK.sub("", text), flags=re.DOTALL
    )
    return sorted({n for n in NUMBER.findall(prose) if n.lstrip("+-") not in known})


def _text() -> str:
    if not PAGE.is_file():
        raise InputError(f"{PAGE}: not there: the study's page is kept in its repository")
    return PAGE.read_text(encoding="utf-8")


def _filled(text: str) -> str:
    """Return the page with its tables as the results have them."""

    def fill(block: re.Match) -> str:
        if block[2] not in TABLES:
            raise InputError(f"{PAGE}: no table is called {block[2]}: {', '.join(TABLES)}")
        return f"{block[1]}{markdown(TABLES[block[2]]())}\n{block[4]}"

    return BLOCK.sub(fill, text)


@cache
def _curves(experiment: str) -> list[Curve]:
    return curves(read_records(experiment))


def _digest(experiment: str) -> str:
    """Return a digest of an experiment's results and of the code that draws them."""
    digest = hashlib.sha256(Path(figures.__file__).read_bytes())
    for file in sorted(RESULTS.glob(f"{experiment}-*.csv")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _save(figure: Figure, path: Path, source: dict[str, str]) -> None:
    figure.savefig(path, format="png", dpi=DPI, metadata=source)
