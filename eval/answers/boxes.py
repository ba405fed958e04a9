r"""What the boxes of a text hold: `\boxed{...}`, `\fbox{...}`, `\framebox{...}`, `\boxed 5`."""

import re
from typing import NamedTuple

BOX = re.compile(
    r"\\(?:boxed|fbox|framebox|bbox)(?![A-Za-z])\s*(?:\[[^\]{}]*\]\s*)?|(?<![A-Za-z\\])boxed(?=\{)"
)
BRACES = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped one opens and closes nothing
TWO_ARGUMENTS = re.compile(r"-?\s*\\[dtc]?frac\s*")
COMMAND = re.compile(r"-?\s*\\(?:sqrt\s*(?:\[[^\]{}]*\])?|[A-Za-z]+)\s*")
BARE = re.compile(r"[^\s$\\{}]+")
BETWEEN = re.compile(r"[\s$]|\\[()\[\],;!]|\\q?quad|\\text|[{}]")  # means nothing between boxes
GLUE = re.compile(r"(?:[,;&]|and|or)+(?:\\?[A-Za-z]+(?:_\w+)?=)?")  # one list: `or x=`


class Box(NamedTuple):
    """A box in a text, from `start` to `end`."""

    start: int
    end: int
    content: str
    finished: bool  # its brace is closed


def find_boxes(text: str) -> list[Box]:
    """Return the boxes of a text in order, of nested ones the outermost, its inner ones bare.

    An unfinished one holds the rest of the text, and is the last; those within it count too.
    """
    closing = _closing_braces(text)
    boxes: list[Box] = []
    unfinished = None
    for found in BOX.finditer(text):
        if boxes and found.start() < boxes[-1].end:
            continue
        inside = found.end()
        if text[inside : inside + 1] != "{":
            end = _argument(text, inside, closing)
            boxes.append(Box(found.start(), end, text[inside:end].strip(" .,"), True))
        elif inside in closing:
            end = closing[inside]
            boxes.append(Box(found.start(), end + 1, text[inside + 1 : end].strip(), True))
        else:
            unfinished = Box(found.start(), len(text), text[inside + 1 :].strip(), False)
    boxes = [box._replace(content=_unboxed(box.content)) for box in boxes]
    if unfinished and (not boxes or boxes[-1].end <= unfinished.start):
        boxes.append(unfinished)
    return boxes


def boxed_answer(text: str, *, finished: bool = False) -> str | None:
    """Return what the last box of a text holds, or the list that it ends; None without a box.

    Boxes with a comma, "and" or "or" between them are one list; empty ones count for nothing.
    finished: leave out a box that is not closed.
    """
    boxes = [box for box in find_boxes(text) if box.content and (box.finished or not finished)]
    if not boxes:
        return None
    contents = [boxes[-1].content]
    for before, after in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
        if not GLUE.fullmatch(BETWEEN.sub("", text[before.end : after.start])):
            break
        contents.append(before.content)
    return ", ".join(dict.fromkeys(reversed(contents)))


def _closing_braces(text: str) -> dict[int, int]:
    """Return where each opening brace is closed, in one pass however many there are."""
    opened: list[int] = []
    closing = {}
    for found in BRACES.finditer(text):
        if found[0] == "{":
            opened.append(found.start())
        elif found[0] == "}" and opened:
            closing[opened.pop()] = found.start()
    return closing


def _argument(text: str, start: int, closing: dict[int, int]) -> int:
    """Return where the argument ends that begins, without braces, at `start`."""
    if found := TWO_ARGUMENTS.match(text, start):
        return _after(text, _after(text, found.end(), closing), closing)
    if found := COMMAND.match(text, start):
        end = found.end()
        if "sqrt" in found[0]:
            return _after(text, end, closing)
        while text[end : end + 1] == "{" and end in closing:
            end = closing[end] + 1
        return end
    found = BARE.match(text, start)
    return found.end() if found else start


def _after(text: str, start: int, closing: dict[int, int]) -> int:
    """Return where one argument of a command ends: a group in braces, or a character."""
    while text[start : start + 1].isspace():
        start += 1
    return closing[start] + 1 if start in closing else min(start + 1, len(text))


def _unboxed(text: str) -> str:
    """Return a box's content without boxes within it, whose braces mean nothing then."""
    if not BOX.search(text):
        return text
    text = BOX.sub("", text)
    inside = len(text) - len(text.lstrip("{"))
    return text[inside:-inside] if inside and text.endswith("}" * inside) else text
