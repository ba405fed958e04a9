"""What math-verify reads: in an answer, and somewhere in a text."""

import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse
from sympy import Eq, FiniteSet, Mul, Rational, UnevaluatedExpr, Union
from sympy.core.relational import Relational

from eval.answers.spelling import POWER_OF_TEN

TRIGONOMETRIC = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
DEGREES = re.compile(r"(\d+(?:\.\d+)?|\\?[A-Za-z]+)\s*\^\\circ")
# Units are ours: math-verify's would take 4t and 4s for 4.
WITHOUT_UNITS = (
    LatexExtractionConfig(
        normalization_config=NormalizationConfig(units=False, malformed_operators=True, nits=True)
    ),
    ExprExtractionConfig(),
)
EULER = re.compile(r"(?<![A-Za-z\\])([Ee])_")  # E_1 would be Euler's number, like E_2
HUNDREDTH = UnevaluatedExpr(Rational(1, 100))


@lru_cache(256)  # several completions of a problem follow each other
def read_answer(text: str) -> list:
    """Return what an answer in plain LaTeX is, its expression before its spelling."""
    text = EULER.sub(lambda found: "\\Xi_" if found[1] == "E" else "\\xi_", text)
    for written in (f"\\boxed{{{text}}}", f"${text}$", text):
        if found := _read(written, WITHOUT_UNITS):
            return [_united(found[0]), *found[1:]]
    return []


def read_text(text: str) -> str | None:
    """Return the answer somewhere in a text, None where there is none."""
    text = POWER_OF_TEN.sub(r"\1*10^(\2)", text)
    # An escaped dollar in words, where no formula was found.
    found = _read(text) or _read(text.replace("\\$", ""))
    if not found:
        return None
    value, written = found[0], str(found[-1])
    percent = isinstance(value, Mul) and HUNDREDTH in value.args and "%" not in written
    return written + "\\%" if percent else written


def in_radians(text: str) -> str:
    """Return an answer with the degrees in its trigonometric functions as radians."""
    if not TRIGONOMETRIC.search(text):
        return text
    return DEGREES.sub(r"(\1\\cdot\\frac{\\pi}{180})", text)


def _united(value: Any) -> Any:
    """Return `x < 1 or x > 2`, which is read as a set of two relations, as the set of their x."""
    parts: Any = value.args if isinstance(value, FiniteSet) else ()
    relations = all(isinstance(part, Relational) and not isinstance(part, Eq) for part in parts)
    if len(parts) < 2 or not relations or len(value.free_symbols) != 1:
        return value
    return Union(*(part.as_set() for part in parts))


def _read(text: str, how: tuple | None = None) -> list:
    # math-verify's own limits are signals, which fail off the main thread; processor time ends us.
    found = parse(text, how, parsing_timeout=0) if how else parse(text, parsing_timeout=0)
    return [*found[:-1], str(found[-1])] if found else []
