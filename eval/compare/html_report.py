"""A comparison as one HTML file that needs no other."""

import base64
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import pandas as pd

INTERVAL = re.compile(r" (\[[^\]]*\])$")
WIDTH = 75  # of an inch of a figure, in CSS pixels
STYLE = """
body { font: 16px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; color: #222;
  max-width: 1400px; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 1rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p, li { max-width: 50rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .75rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .34rem; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid #444; vertical-align: bottom; white-space: normal; }
td { border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }
tbody tr:hover { background: #f4f7fb; } td small { display: block; color: #777; }
figure { margin: .6rem 0 0; } figure img { max-width: 100%; height: auto; }
figcaption { max-width: 50rem; color: #555; font-size: .9rem; margin-top: .3rem; }
"""


class Picture(NamedTuple):
    """A figure of the report."""

    name: str  # of its file, without the ending
    heading: str
    caption: str
    png: bytes
    inches: float  # how wide


def html_report(
    title: str,
    table: pd.DataFrame,
    further: Sequence[tuple[str, pd.DataFrame, str]],
    notes: Sequence[str],
    pictures: Sequence[Picture],
) -> str:
    """Return the page: the table, notes on it, further tables, and figures.

    table: text, as `display_table` gives. further: of each table its heading, its text and what is
    said below it. Pictures are embedded.
    """
    parts = [f"<h1>{escape(title)}</h1>", _table(table)]
    parts += ["<h2>What was measured, and what it can tell</h2>", "<ul>"]
    parts += [f"<li>{escape(note)}</li>" for note in notes] + ["</ul>"]
    for heading, cells, caption in further:
        parts += [f"<h2>{escape(heading)}</h2>", _table(cells), f"<p>{escape(caption)}</p>"]
    for picture in pictures:
        data = base64.b64encode(picture.png).decode()
        parts += [
            f"<h2>{escape(picture.heading)}</h2>",
            f'<figure><img alt="{escape(picture.heading)}" width="{WIDTH * picture.inches:.0f}" '
            f'src="data:image/png;base64,{data}">',
            f"<figcaption>{escape(picture.caption)}</figcaption></figure>",
        ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _table(table: pd.DataFrame) -> str:
    # Escaped on one line: pandas would write a newline as a backslash and an n.
    def shown(text: str) -> str:
        return escape(" ".join(text.split()))

    cells = table.map(lambda text: INTERVAL.sub(r"<small>\1</small>", shown(text)))
    head = cells.rename(columns=shown)
    return f'<div class="wide">{head.to_html(index=False, border=0, escape=False)}</div>'
