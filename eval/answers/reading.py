"""What math-verify reads: in an answer, and somewhere in a text."""

import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import parse
from sympy import I, Mul, Rational, Symbol, UnevaluatedExpr

from eval.answers.regions import region
from eval.answers.spelling import POWER_OF_TEN

TRIGONOMETRIC = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
DEGREES = re.compile(r"(\d+(?:\.\d+)?|\\?[A-Za-z]+)\s*\^\\circ")
# Units are ours: math-verify's would take 4t and 4s for 4.
PLAIN = NormalizationConfig(units=False, malformed_operators=True, nits=True, boxed="none")
AS_WRITTEN = ConversionConfig(lowercase_symbols=False)
LAST_SIDE = re.compile(r"[^,;]*(?<![\\<>!])=[^,;]*(?<![\\<>!])=(?P<side>[^,;=]*)")
# Products that would be mixed numbers to the parser, so sums: 3(1/2), 2\\binom{4}{2}, (6)(7).
TIMES = re.compile(
    r"((?<![\w^_.\\}])\d+|\(\s*-?\d+\s*\)|!|\\(?:frac|binom)\s*\{[^{}]*\}\s*\{[^{}]*\})\s*"
    r"(?=\(|\\(?:frac|binom|lfloor|lceil|log|ln|sqrt|sin|cos|tan|cot|sec|csc)(?![A-Za-z]))"
)
EULER = re.compile(r"(?<![A-Za-z\\])([Ee])_")  # E_1 would be Euler's number, like E_2
# Letters that would be constants: Euler's, and the imaginary unit, which is i alone.
CONSTANTS = re.compile(
    r"\\text\s*\{[^{}]*\}|\\[gG]amma(?![A-Za-z_])(?!\s*\()|\\[A-Za-z]+|I(?!\s*[(_])"
)
VARIABLES = {"\\gamma": "\\xi_{g}", "\\Gamma": "\\Xi_{g}", "I": "\\Xi_{i}"}
DOUBTED = re.compile(  # "it is not 5", which is no answer
    r"(?:\bnot|n['’]t|\b(?:more|less|fewer|greater|larger|smaller) than|\bbetween|\beither"
    r"|\bneither|\bmaybe|\bperhaps|\bpossibly|\b(?:might|may|could) be)"
    r"(?:\s+[^\s.!?]+){0,2}\s*[$\\(*]*$",
    re.IGNORECASE,
)
OR_ANOTHER = re.compile(r"[$\\)*]*\s*\?|[$\\)*]*\s*,?\s*or\s+[$\\(*]*[-−\d]", re.IGNORECASE)
# A number with a subscript, as of an interval: to the parser it would be the number alone.
SCRIPT = r"(?:\{[^{}]*\}|\\[A-Za-z]+|[^\s{}\\])"
SCRIPTED = re.compile(
    r"(?<![\w^_.{])(?<![\^_] )(?P<number>\d[\d.]*|\.\d+|\(\s*[-+]?[\d.]+\s*\))\s*"
    rf"(?:(?P<above>\^\s*{SCRIPT})\s*)?(?P<below>_\s*{SCRIPT})\s*(?P<after>\^\s*{SCRIPT})?"
)
HUNDREDTH = UnevaluatedExpr(Rational(1, 100))


@lru_cache(256)  # several completions of a problem follow each other
def read_answer(text: str) -> list:
    """Return what an answer in plain LaTeX is, its expression before its spelling.

    Only its spelling where it is no expression as a whole: never an expression within it.
    """
    text = CONSTANTS.sub(lambda found: VARIABLES.get(found[0], found[0]), text)
    text = EULER.sub(lambda found: "\\Xi_" if found[1] == "E" else "\\xi_", text)
    if SCRIPTED.search(text):
        return [SCRIPTED.sub(_above_first, text)]
    if (values := region(text, _expression)) is not None:
        return [values, text]
    plain = normalize_latex(TIMES.sub(r"\1\\cdot ", text), PLAIN)
    last = LAST_SIDE.fullmatch(plain)
    for written in (plain, last and last["side"]):
        value = written and _expression(written)
        if value is not None and value != "":
            return [value, plain]
    return [plain] if plain else []


def read_text(text: str) -> str | None:
    """Return the answer somewhere in a text, None where there is none."""
    text = POWER_OF_TEN.sub(r"\1*10^(\2)", text)
    # An escaped dollar in words, where no formula was found.
    found = _read(text) or _read(text.replace("\\$", ""))
    if not found:
        return None
    value, written = found[0], str(found[-1])
    before, at, after = text.rpartition(written)
    if at and (DOUBTED.search(before[-80:]) or OR_ANOTHER.match(after)):
        return None
    percent = isinstance(value, Mul) and HUNDREDTH in value.args and "%" not in written
    return written + "\\%" if percent else written


def in_radians(text: str) -> str:
    """Return an answer with the degrees in its trigonometric functions as radians."""
    if not TRIGONOMETRIC.search(text):
        return text
    return DEGREES.sub(r"(\1\\cdot\\frac{\\pi}{180})", text)


def _above_first(found: re.Match) -> str:
    return f"{found['number']}{found['above'] or found['after'] or ''}{found['below']}"


def _expression(text: str) -> Any:
    """Return the expression that a text is, with i as the imaginary unit; None where it is none."""
    try:
        value: Any = latex2sympy(
            text, is_real=True, normalization_config=None, conversion_config=AS_WRITTEN
        )
    except Exception:  # whatever ends the parser, it is no expression
        return None
    unit = Symbol("i", real=True)
    return value.subs(unit, I) if unit in getattr(value, "free_symbols", ()) else value


def _read(text: str) -> list:
    # math-verify's own limits are signals, which fail off the main thread; processor time ends us.
    found = parse(text, parsing_timeout=0)
    return [*found[:-1], str(found[-1])] if found else []
