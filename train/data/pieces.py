"""What two texts have in common, where a special token or a tag is never cut in two."""

import re
from collections.abc import Sequence

OPENED_TAG = re.compile(r"(<[^<>|｜\s]+>)(\s*)\Z")  # as `<think>`, at the end of a prompt


class Pieces:
    """Texts seen as tokens that are never made of text, tags, and single characters."""

    def __init__(self, markers: Sequence[str]):
        longest_first = sorted(markers, key=len, reverse=True)
        whole = [*map(re.escape, longest_first), r"<[^<>\s]*>", "."]
        self._of = re.compile("|".join(whole), re.DOTALL).findall

    def common_prefix(self, one: str, other: str) -> int:
        """Return how many characters both begin with."""
        return _alike(self._of(one), self._of(other))

    def common_suffix(self, one: str, other: str) -> int:
        """Return how many characters both end with."""
        return _alike(reversed(self._of(one)), reversed(self._of(other)))

    def first(self, text: str) -> str:
        """Return what a text begins with."""
        return self._of(text)[0]


def _alike(one, other) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += len(a)
    return length


def squeezed(text: str) -> str:
    """Return a text without blanks, which templates strip and add."""
    return "".join(text.split())


def unopened(opened: str, content: str) -> str:
    """Return what is left to say where a template has opened a tag that the content opens too."""
    tag = OPENED_TAG.search(opened)
    if tag is None or not content.lstrip().startswith(tag[1]):
        return content
    return content.lstrip().removeprefix(tag[1]).removeprefix(tag[2])
