"""A gold answer in the words that models use, and wrong answers near it."""

import random
import re
from collections.abc import Iterator
from fractions import Fraction

NUMBER = re.compile(r"-?\d+(\.\d+)?")
SCIENTIFIC = re.compile(r"(-?[\d.]+)e(-?\d+)")
THOUSANDS = re.compile(r"\D*\d{2,3}(,(\\!)?\s*\d{3})+")
FRACTION = re.compile(r"\\d?frac\{(\d+)\}\{(\d+)\}")


def right_answers(gold: str) -> Iterator[tuple[str, str]]:
    """Yield (name of the form, completion) for completions that state a gold answer."""
    bare = _bare(gold)
    yield "boxed", f"First 7, then 8. So the answer is \\boxed{{{bare}}}."
    yield "displayed", f"Therefore\n\\[ x_1 + 5 \\ne 9, \\quad \\boxed{{{bare}}}. \\]\nThat is all."
    yield "in dollars", f"There are 12 ways to see it. The final answer is $\\boxed{{{bare}}}$."
    if NUMBER.fullmatch(bare):
        yield "in words", f"The answer is {bare}."
        yield "unit in the box", f"We get \\boxed{{{bare} \\text{{ units}}}}."
        yield "unit after", f"It weighs $\\boxed{{{bare}}}$ grams."
        yield "assigned", f"So $n = {bare}$ and \\boxed{{n = {bare}}}."
        yield "fraction", f"\\boxed{{{_fraction(bare)}}}"
        if abs(float(bare)) >= 1000:
            yield "separators", f"\\boxed{{{_separated(bare, ',')}}}"
            yield "LaTeX separators", f"\\boxed{{{_separated(bare, '{,}')}}}"
    if found := SCIENTIFIC.fullmatch(bare):
        yield "power of ten", f"\\boxed{{{found[1]} \\times 10^{{{found[2]}}}}}"
        yield "power of ten, unit", f"\\boxed{{{found[1]} \\times 10^{{{found[2]}}} \\text{{ m}}}}"
    if found := FRACTION.fullmatch(bare):
        yield "slash", f"\\boxed{{{found[1]}/{found[2]}}}"
        yield "dfrac", f"\\boxed{{\\dfrac{{{found[1]}}}{{{found[2]}}}}}"
    if found := re.fullmatch(r"\\text\{\(?(\w+)\)?\}", bare):
        yield "without \\text", f"\\boxed{{{found[1]}}}"
        yield "bold", f"\\boxed{{\\textbf{{{found[1]}}}}}"
    entries = listed(bare)
    if len(entries) > 1:
        turned = entries[::-1]
        yield "list turned", f"\\boxed{{{', '.join(turned)}}}"
        yield "list with and", f"\\boxed{{{', '.join(turned[:-1])} \\text{{ and }} {turned[-1]}}}"
        yield "in braces", f"\\boxed{{\\{{{', '.join(entries)}\\}}}}"
        yield (
            "boxes",
            "The answers are "
            + ", ".join(f"$\\boxed{{{e}}}$" for e in entries[:5])
            + ("" if len(entries) <= 5 else f", $\\boxed{{{', '.join(entries[5:])}}}$"),
        )


def wrong_answers(gold: str, golds: list[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yield (name of the form, completion) for completions whose answer is not the gold one."""
    bare = _bare(gold)
    others = [o for o in rng.sample(golds, min(8, len(golds))) if not _alike(o, gold)]
    for other in others[:2]:
        yield "another's", f"So the answer is \\boxed{{{_bare(other)}}}."
    if NUMBER.fullmatch(bare):
        value = Fraction(bare)
        yield "one more", f"\\boxed{{{_decimal(value + 1)}}}"
        yield "in words", f"The answer is {_decimal(value - 1)}."
        if value:
            yield "ten times", f"\\boxed{{{_decimal(value * 10)}}}"
            yield "negative", f"\\boxed{{{_decimal(-value)}}}"
            yield "a percent off", f"\\boxed{{{_decimal(value * Fraction(102, 100))}}}"
    elif digits := list(re.finditer(r"\d", bare)):
        at = rng.choice(digits)
        changed = str((int(at[0]) + 1) % 10 or 1)
        if changed != at[0]:
            yield "digit", f"\\boxed{{{bare[: at.start()]}{changed}{bare[at.end() :]}}}"
    if found := SCIENTIFIC.fullmatch(bare):
        yield "other power", f"\\boxed{{{found[1]} \\times 10^{{{int(found[2]) + 1}}}}}"
    if found := re.fullmatch(r"\\text\{\((\w)\)\}", bare):
        letter = "ABCDEF"[("ABCDEF".index(found[1]) + 1) % 6]
        yield "other option", f"\\boxed{{\\text{{({letter})}}}}"
        yield "other letter", f"\\boxed{{{letter}}}"
    entries = listed(bare)
    if len(entries) > 1:
        yield "one missing", f"\\boxed{{{', '.join(entries[:-1])}}}"
        yield "one too many", f"\\boxed{{{', '.join([*entries, '9999'])}}}"
    if not re.fullmatch(r"\W*17\W*", bare):
        yield "another number", "We tried hard. The answer is \\boxed{17}."
    yield "none", "I could not find it."


def listed(text: str) -> list[str]:
    """Return the entries of an answer that commas outside of all brackets separate."""
    if THOUSANDS.fullmatch(text):
        return [text]
    entries, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            entries.append(text[start:at].strip())
            start = at + 1
    return [*entries, text[start:].strip()]


def _bare(gold: str) -> str:
    return re.sub(r"(?<!\\)\$", "", gold).strip()


def _alike(one: str, other: str) -> bool:
    def plain(text):
        text = re.sub(r"\\left|\\right|\\text|\\mathrm|[\s${}\\~!,]", "", text)
        return re.sub(r"^.*=|dfrac|frac|%|^circ", "", text)

    try:
        return float(plain(one)) == float(plain(other))
    except ValueError:
        return plain(one) == plain(other)


def _decimal(value: Fraction) -> str:
    text = f"{float(value):.10f}".rstrip("0").rstrip(".")
    return text or "0"


def _fraction(text: str) -> str:
    value = Fraction(text) * 2
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{2 * value.denominator}}}"


def _separated(text: str, separator: str) -> str:
    whole, point, rest = text.partition(".")
    return f"{int(whole):,}".replace(",", separator) + point + rest
