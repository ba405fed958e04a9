"""Gold answers of the real sets given back in models' words, and wrong answers near them.

`python -m pytest --benchmark-only tests/eval/problems/test_gold_answers.py -s` does it for every
problem.
"""

import random
import time
from collections import Counter
from typing import NamedTuple

import pytest

from eval.grading import grade
from eval.problems.benchmarks import BENCHMARKS
from tests.helpers.answer_forms import right_answers, wrong_answers

SETS = ("gsm8k", "math500", "amc", "minerva", "olympiadbench")
SAMPLE = 24  # problems of each set
LEAST = {True: 0.999, False: 0.9995}  # of right answers graded right, of wrong ones wrong
# Taken for right: the same number in another base, a set without what it holds twice.
EXCEPTIONS = {
    ("36", "So the answer is \\boxed{40_9}."),
    ("16,3,1,1", "\\boxed{16, 3, 1}"),
    ("-2,-2", "\\boxed{-2}"),
}


class Case(NamedTuple):
    gold: str
    right: bool
    form: str
    completion: str


def cases(golds: list[str], every: int) -> list[Case]:
    rng = random.Random(0)
    return [
        Case(gold, right, *form)
        for gold in golds[::every]
        for right, forms in (
            (True, right_answers(gold)),
            (False, wrong_answers(gold, golds, rng)),
        )
        for form in forms
    ]


def disagreements(asked: list[Case], grades) -> list[Case]:
    return [case for case, verdict in zip(asked, grades, strict=True)
            if verdict.correct != case.right]  # fmt: skip


def agreement(asked: list[Case], misjudged: list[Case], right: bool) -> float:
    of = [case.right for case in asked].count(right)
    return 1 - [case.right for case in misjudged].count(right) / of


@pytest.mark.parametrize("name", SETS)
def test_a_sample_of_gold_answers(benchmarks, name):
    golds = [problem.answer for problem in BENCHMARKS[name].load(str(benchmarks))]
    asked = cases(golds, every=max(1, len(golds) // SAMPLE))
    grades = grade([c.completion for c in asked], [c.gold for c in asked])
    assert "unparseable_gold" not in {verdict.status for verdict in grades}
    misjudged = disagreements(asked, grades)
    assert {(case.gold, case.completion) for case in misjudged} <= EXCEPTIONS


@pytest.mark.parametrize("name", SETS)
def test_every_gold_answer(benchmark, benchmarks, name):
    golds = [problem.answer for problem in BENCHMARKS[name].load(str(benchmarks))]
    asked = cases(golds, every=1)
    started = time.monotonic()
    grades = benchmark.pedantic(
        grade, args=([c.completion for c in asked], [c.gold for c in asked]), rounds=1
    )
    pace = 1000 * (time.monotonic() - started) / len(asked)
    misjudged = disagreements(asked, grades)
    shares = [agreement(asked, misjudged, right) for right in (True, False)]
    print(f"\n{name}: {len(asked)} completions of {len(golds)} problems, {pace:.1f} s for 1,000")
    print(f"right answers graded right {shares[0]:.2%}, wrong ones wrong {shares[1]:.2%}")
    print("statuses:", dict(Counter(verdict.status for verdict in grades)))
    for case in misjudged:
        print("  ", "right" if case.right else "wrong", *case[2:], "| gold:", case.gold)
    assert shares[0] >= LEAST[True]
    assert shares[1] >= LEAST[False]
    assert {(case.gold, case.completion) for case in misjudged} <= EXCEPTIONS
