"""Grades completions that come on standard input, a line each: run by eval.grading.

Imports math-verify and its sympy alone, so that a worker is quick to start and to replace.
"""

import json
import math
import re
import signal
import sys
from functools import lru_cache

from math_verify import parse, verify
from sympy import Float

from eval.answers.boxes import boxed_answer

TOLERANCE = 5e-6  # relative: six significant digits
POWER_OF_TEN = re.compile(r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?!\w)")
FULL_STOP = re.compile(r"(?<=\d)\.(?=\s*\})")  # within a box
PERCENT = re.compile(r"\s*\\?%")


def grade_one(completion: str, gold: str) -> dict:
    """Return {correct, answer, status} of one completion against a gold answer."""
    expected = _parse_gold(gold)
    if not expected:
        return {"correct": False, "answer": None, "status": "unparseable_gold"}
    boxed = boxed_answer(completion)
    completion = completion if boxed is None else f"\\boxed{{{boxed}}}"
    # An escaped dollar in words, where no formula was found.
    found = _parse(completion) or _parse(completion.replace("\\$", ""))
    if not found:
        return {"correct": False, "answer": None, "status": "unparseable"}
    correct = _same(expected, found)
    if not correct and ("%" in found[-1]) != ("%" in gold):
        # Whether a percentage is written with its sign is a matter of taste: 4.2 and 4.2 %.
        bare = _parse(f"\\boxed{{{PERCENT.sub('', found[-1])}}}")
        correct = _same(_parse_gold(PERCENT.sub("", gold)), bare)
    return {"correct": correct, "answer": found[-1], "status": "ok"}


def _parse(text: str) -> list:
    """Return what math-verify reads in a text, its expression before its spelling.

    Its own limits are signals, which fail off the main thread; processor time ends us instead.
    """
    # 4.5e33 would be 4.5 times Euler's number times 33. These brackets are LaTeX and plain both.
    text = FULL_STOP.sub("", POWER_OF_TEN.sub(r"\1*10^(\2)", text))
    found = parse(text, parsing_timeout=0)
    return [*found[:-1], str(found[-1])] if found else []


@lru_cache(256)  # several completions of a problem follow each other
def _parse_gold(gold: str) -> list:
    for text in (f"\\boxed{{{gold}}}", f"${gold}$", gold):
        if found := _parse(text):
            return found
    return []


def _same(expected: list, found: list) -> bool:
    if expected and found:
        gold, answer = _number(expected[0]), _number(found[0])
        if gold is not None and answer is not None and _by_digits(expected[0], found[0], gold):
            return math.isclose(gold, answer, rel_tol=TOLERANCE)
    # The gold answer first: not symmetric.
    return verify(expected, found, allow_set_relation_comp=True, timeout_seconds=None)


def _by_digits(gold, answer, size: float) -> bool:
    """Tell whether to compare significant digits, where math-verify compares six decimals.

    It would take 1e-27 for 2e-27, and 4.5e33 for another number than 45e32.
    """
    return 0 < abs(size) < 0.1 or (abs(size) > 1e6 and (gold.has(Float) or answer.has(Float)))


def _number(value) -> float | None:
    if not getattr(value, "is_number", False):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def main(limit: float) -> None:
    """Answer lines for ever; one that takes more processor seconds than the limit ends us."""
    grade_one("\\boxed{1}", "\\frac12")  # loads what the first one would wait for
    print("ready", flush=True)
    for line in sys.stdin:
        completion, gold = json.loads(line)
        _allow(limit)
        try:
            answer = grade_one(completion, gold)
        except Exception:  # a parser's bug on one completion is that completion's misfortune
            answer = {"correct": False, "answer": None, "status": "unparseable"}
        _allow(0)
        print(json.dumps(answer), flush=True)


def _allow(seconds: float) -> None:
    """Let the kernel end this process after so many processor seconds, 0: no longer."""
    if hasattr(signal, "setitimer"):  # elsewhere the parent's clock alone ends it
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]))
