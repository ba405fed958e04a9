"""Tables of text."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """Return rows of cells as lines of aligned columns, two spaces between them.

    rows: R rows of C texts each. numbers: columns after the first hold numbers and are aligned to
    the right; otherwise all are aligned to the left. Newlines in a cell are shown as spaces. Raises
    ValueError for rows of unequal length.
    """
    rows = [[" ".join(text.split()) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.ljust, *[str.rjust if numbers else str.ljust] * (len(widths) - 1)]
    return "\n".join(
        "  ".join(
            side(text, width) for side, text, width in zip(sides, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
