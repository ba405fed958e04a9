"""Names of others in Markdown: they stay text, and stay in their place."""

import re

import pytest

from objectives.markdown import code, fenced, plain, table_row
from tests.helpers.hostile import HOSTILE

# What makes something else of a text, where no backslash stands before it.
MADE = re.compile(r"(?<!\\)(`|<[A-Za-z/!?]|\$|\||~|\]\(|\]\[|\]:|&#?\w+;)")


@pytest.mark.parametrize("text", HOSTILE)
def test_it_is_one_line_of_text(text):
    shown = plain(text)
    assert "\n" not in shown
    assert MADE.search(shown.replace("\\\\", "")) is None
    # Without what escapes, it is the text itself.
    assert re.sub(r"\\([^A-Za-z0-9\s])", r"\1", shown) == " ".join(text.split())
    cells = re.split(r"(?<!\\)\|", table_row(["name", text, "9"]).replace("\\\\", ""))
    assert len(cells) == 5


@pytest.mark.parametrize("text", HOSTILE)
def test_blocks_end_where_they_end(text):
    first, *_, last = fenced(text).split("\n")
    assert first == last
    assert set(first) == {"`"}
    assert first not in text
    inside = re.fullmatch(r"(`+) ?(.*?) ?\1", code(text))
    assert inside[1] not in re.findall("`+", inside[2])


ORDINARY = [
    "fpa_dpo beta=0.1", ".885 [.854, .911]", "-.050", "+.125 [.1, .2]", "<.0001", "1.000 (1)*",
    "p < .05", "R&D", "95 % intervals", "a > b", "--metric", "runs/a-b_c.d",
]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_as_it_was(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**a** _b_", r"\*\*a\*\* \_b\_"), ("- a", r"\- a"), ("# a", r"\# a"), ("> a", r"\> a"),
        ("1. a", r"1\. a"), ("---", r"\---"), ("[a]: b", r"[a\]: b"), ("a\\", "a\\\\"),
    ],
)  # fmt: skip
def test_what_would_be_marked_up(text, shown):
    assert plain(text) == shown
