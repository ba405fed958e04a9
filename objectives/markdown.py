"""Text of others in Markdown: shown as it is, whatever it holds."""

import re

ALWAYS = re.compile(r"[\\`|$~]|\*(?!$)")  # a last star closes nothing, as none before it opens
EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # within a word it is no more than itself
BRACKET = re.compile(r"\](?=[(\[:])")  # of a link, an image or a definition
TAG = re.compile(r"<(?=[A-Za-z/!?])")
ENTITY = re.compile(r"&(?=#?\w+;)")
BLOCK = re.compile(r"^(?=[-+] |#{1,6} |>|[-=]{3,})|(?<=^\d)(?=[.)] )")  # what a line can begin with


def plain(text: str) -> str:
    """Return Markdown that shows a text as it is, on one line, in a paragraph, heading or cell."""
    text = " ".join(str(text).split())
    text = ALWAYS.sub(r"\\\g<0>", text)
    for pattern in (EMPHASIS, BRACKET, TAG, ENTITY, BLOCK):
        text = pattern.sub(r"\\\g<0>", text)
    return text


def table_row(cells) -> str:
    """Return a line of a table of texts."""
    return "| " + " | ".join(map(plain, cells)) + " |"


def fenced(text: str) -> str:
    """Return a block of code that shows a text line by line."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}\n{text}\n{fence}"


def code(text: str) -> str:
    """Return code within a line."""
    text = " ".join(str(text).split())
    fence = "`" * (1 + _longest_run(text))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
