"""Names of others in pictures: drawn as they are, a `$` no formula; numbers as before."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from objectives.figures import literal
from tests.helpers.hostile import HOSTILE


def drawn(figure):
    content = io.BytesIO()
    figure.savefig(content, format="raw", dpi=60)
    return np.frombuffer(content.getvalue(), np.uint8)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("layout", ["constrained", "tight"])
def test_every_text_is_drawn_as_it_is(text, layout):
    figure = Figure(layout=layout)
    axis = figure.subplots()
    axis.plot([0, 1], label=text)
    axis.set(title=text, xlabel=text, ylabel=text)
    axis.annotate(text, (0, 0))
    axis.set_yticks([0, 1], [text, "one"])
    axis.legend()
    figure.suptitle(text)
    literal(figure)
    assert drawn(figure).std() > 0


def test_dollars_are_drawn_and_numbers_stay_formulas():
    def figure(title, name):
        made = Figure(layout="constrained")
        axis = made.subplots()
        axis.plot([0, 1], [1, 1e6])
        axis.set(title=title, yscale="log")
        axis.set_xticks([0, 1], [name, "b"])
        return made

    as_math, as_text, escaped = (figure(*names) for names in (
        ("$a$", "$b$"), ("$a$", "$b$"), (r"\$a\$", r"\$b\$")
    ))  # fmt: skip
    literal(as_text)
    # A backslash is matplotlib's own way; the powers of ten along y are the same in both.
    assert np.array_equal(drawn(as_text), drawn(escaped))
    assert not np.array_equal(drawn(as_math), drawn(as_text))
