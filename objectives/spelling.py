"""The names that a mistyped one may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X or Y?` with the nearest of the known names, or nothing.

    Underscores and dashes are the same.
    """
    names = {name.replace("_", "-"): name for name in known}
    near = get_close_matches(word.replace("_", "-"), list(names), n=3, cutoff=0.65)
    return f"; did you mean {' or '.join(names[n] for n in near)}?" if near else ""
