"""Text in figures of matplotlib, shown as it is: a `$` begins no formula."""

from typing import Any

# Those that write texts as given; others write numbers, and some of those as formulas.
GIVEN = ("FixedFormatter", "FuncFormatter", "StrCategoryFormatter")


def literal(figure: Any) -> None:
    """Make a figure of matplotlib show its titles, labels and names as they are.

    To be called before it is laid out or written; figures therefore have no formulas of their own.
    """
    numbers = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if type(axis.get_major_formatter()).__name__ not in GIVEN:
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            numbers |= {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
            numbers.add(id(axis.offsetText))
    for text in figure.findobj(lambda artist: hasattr(artist, "set_parse_math")):
        if id(text) not in numbers:
            text.set_parse_math(False)
