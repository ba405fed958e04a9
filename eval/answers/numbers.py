"""Numbers compared without floating point, which takes 10^{-400} for 0."""

import re
from fractions import Fraction
from typing import Any, NamedTuple, TypeGuard

from sympy import Basic, Expr, Float, Rational, Symbol, nan, oo, zoo

TOLERANCE = Fraction(5, 10**6)  # relative: six significant digits, of small and large numbers
ROUNDING = Fraction(5, 10**7)  # absolute: six decimals, of the others
DIGITS = 60
SAME = Fraction(1, 10**50)
POINTS = (Rational(7, 5), Rational(13, 11), Rational(5, 17))
MOST_DIGITS = 4000  # of a number that is written out
DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)"
PLAIN = re.compile(rf"([-+]?)\s*({DECIMAL})")
RATIO = re.compile(
    rf"([-+]?)\s*(?:({DECIMAL})\s*/\s*({DECIMAL})|\\frac\s*\{{\s*([-+]?{DECIMAL})\s*\}}\s*\{{\s*([-+]?{DECIMAL})\s*\}})"
)
SCIENTIFIC = re.compile(
    rf"([-+]?)\s*(?:({DECIMAL})\s*(?:\\times|\\cdot|\*|x)\s*)?10\s*(?:\^|\*\*)\s*\{{?\s*\(?([-+]?\d{{1,4}})\)?\s*\}}?"
)


class Number(NamedTuple):
    """A number as it was written."""

    value: Fraction
    decimal: bool  # with a decimal point, so perhaps rounded
    plain: bool  # digits alone: neither a fraction nor a power of ten


def number(text: str) -> Number | None:
    """Return the number that a spelled answer is, None for all but the simplest forms."""
    text = text.strip()
    if len(text) > MOST_DIGITS:
        return None
    while text.startswith("{") and text.endswith("}") and "{" not in text[1:]:
        text = text[1:-1].strip()
    decimal = "." in text
    if found := PLAIN.fullmatch(text):
        return Number(_signed(found[1], Fraction(found[2])), decimal, plain=True)
    if found := RATIO.fullmatch(text):
        top, bottom = Fraction(found[2] or found[4]), Fraction(found[3] or found[5])
        if not bottom:
            return None
        return Number(_signed(found[1], top / bottom), decimal, plain=False)
    if found := SCIENTIFIC.fullmatch(text):
        power = int(found[3])
        if abs(power) <= MOST_DIGITS:
            value = Fraction(found[2] or 1) * Fraction(10) ** power
            return Number(_signed(found[1], value), decimal, plain=False)
    return None


def same_number(gold: Number, answer: Number) -> bool:
    """Tell whether two numbers are equal, as far as a decimal of them tells."""
    if gold.value == answer.value:
        return True
    if not (gold.decimal or answer.decimal):
        return False
    return _close(gold.value, answer.value, both_plain=gold.plain and answer.plain)


def same_rounded(one: Number, other: Number) -> bool:
    """Tell whether two numbers may be one, of which a decimal is rounded to few digits."""
    if same_number(one, other):
        return True
    rounded = one.decimal or other.decimal
    return rounded and near(one.value, other.value)


def near(one, other) -> bool:
    """Tell whether numbers are so close that one may be the other, roughly."""
    return bool(abs(one - other) <= max(abs(one), abs(other)) / 10)


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value


def _close(gold, answer, *, both_plain: bool) -> bool:
    """Compare what may be rounded: six significant digits of small numbers, else six decimals.

    Of large ones too, except where both are written out.
    """
    if gold == 0 or answer == 0:
        return bool(gold == answer)
    size, apart = max(abs(gold), abs(answer)), abs(gold - answer)
    relative = size < Fraction(1, 10) or (size > 10**6 and not both_plain)
    return bool(apart <= (TOLERANCE * size if relative else ROUNDING))


def same_value(gold: Basic, answer: Basic) -> bool | None:
    """Tell whether two expressions without variables have one value; None where one is another.

    Both are worked out to 60 digits, with exponents of any size; what agrees that far is compared
    exactly where it is rational. Raises what sympy raises on what it cannot work out.
    """
    if not (is_number(gold) and is_number(answer)):
        return None
    if gold == answer:
        return True
    parts = [_digits(gold), _digits(answer)]
    if None in parts:
        return None
    inexact = gold.has(Float) or answer.has(Float)
    (a, b), (c, d) = parts  # type: ignore[misc]
    if inexact:
        return _close(a, c, both_plain=False) and _close(b, d, both_plain=False)
    if not (_agree(a, c) and _agree(b, d)):
        return False
    gold, answer = gold.doit(), answer.doit()
    if isinstance(gold, Rational) and isinstance(answer, Rational):
        return gold == answer
    return True


def same_function(gold: Basic, answer: Basic) -> bool | None:
    """Tell whether two expressions agree at points of their variables; None where none says it.

    For what only looks equal because the difference is small.
    """
    if not (isinstance(gold, Expr) and isinstance(answer, Expr)):
        return None
    names = sorted(gold.free_symbols | answer.free_symbols, key=str)
    if not names or not all(isinstance(name, Symbol) for name in names):
        return None
    inexact, told = gold.has(Float) or answer.has(Float), None
    for shift in range(2):
        point: Any = {name: POINTS[(at + shift) % 3] + at for at, name in enumerate(names)}
        parts = [_digits(gold.subs(point)), _digits(answer.subs(point))]
        if None in parts:
            continue
        for one, other in zip(*parts, strict=True):  # type: ignore[arg-type]
            if not (_close(one, other, both_plain=False) if inexact else _agree(one, other)):
                return False
        told = True
    return told


def is_number(value: Any) -> TypeGuard[Expr]:
    """Tell whether what was read is an expression without variables."""
    return isinstance(value, Expr) and not value.free_symbols and bool(value.is_number)


def _agree(a, b) -> bool:
    return bool(abs(a - b) <= SAME * max(abs(a), abs(b)))


def _digits(value: Expr) -> tuple | None:
    """Return the real and imaginary part to 60 digits, None where there is no such number."""
    worked = value.evalf(DIGITS)
    if worked.has(nan, oo, -oo, zoo):
        return None
    parts = worked.as_real_imag()
    if not all(part.is_Float or part.is_Rational for part in parts):
        return None
    # Digits that cancel leave a number without precision: that is 0.
    return tuple(
        Rational(0) if isinstance(part, Float) and part._prec <= 4 else part for part in parts
    )
