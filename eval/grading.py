"""Grading of completions against gold answers by math-verify, in processes that can be killed."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from eval.grading_pool import TRIES, End, replies

INTEGER = re.compile(r"-?\d{1,300}")


class Grade(NamedTuple):
    """The verdict on a completion."""

    correct: bool
    answer: str | None  # as it was understood
    status: str  # ok, unparseable, unparseable_gold, timeout or died
    boxed: bool = False  # the answer was in a box or between answer tags

    @property
    def value(self) -> bool:
        """Whether it is correct."""
        return self.correct


def grade(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    truncated: Sequence[bool] | None = None,
    questions: Sequence[str] | None = None,
    workers: int | None = None,
    time_limit: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Grade]:
    """Grade each completion against its gold answer.

    truncated: which were cut off; of those a finished box or answer line counts alone. By default
        none.
    questions: what was asked, which may ask for a percentage or a number in another base; by
        default not known.
    workers: processes, by default one per core, at most 8.
    time_limit: processor seconds for a completion, whatever else the machine does; then its worker
        ends and it counts as incorrect.
    progress: called with (completions graded, completions in all).
    Returns a Grade each, in order. A completion whose worker was ended by something else than its
    limit is graded again; where that happens TRIES times, it counts as incorrect, is `died`, and a
    line on standard error says how many did. Raises ValueError where these differ in length, and
    InputError where no worker starts.
    """
    count = len(completions)
    truncated = [False] * count if truncated is None else truncated
    questions = [""] * count if questions is None else questions
    if not count == len(golds) == len(truncated) == len(questions):
        raise ValueError(
            f"{count} completions but {len(golds)} gold answers, {len(truncated)} marks of what "
            f"was cut off and {len(questions)} questions"
        )
    asked = [
        {"completion": text, "gold": gold, "truncated": bool(cut), "question": question}
        for text, gold, cut, question in zip(completions, golds, truncated, questions, strict=True)
    ]
    found = replies(asked, workers, time_limit, progress or (lambda *_: None))
    if died := found.count(End.DIED):
        print(
            f"{died} of {count} completions count as incorrect: what graded them ended, "
            f"{TRIES} times each",
            file=sys.stderr,
        )
    return [Grade(False, None, r.value) if isinstance(r, End) else Grade(**r) for r in found]


def votes(
    answers: Sequence[Sequence[str | None]], *, time_limit: float = 5.0
) -> list[list[str | None]]:
    """Return, of each problem's answers, those of equal value in one spelling.

    answers: problems x samples, None where there is no answer. time_limit: processor seconds for a
    problem; then only what is spelled alike is one answer. Each is replaced by the first of its
    value.
    """
    distinct = [list(dict.fromkeys(filter(None, row))) for row in answers]
    asked = [n for n, texts in enumerate(distinct) if not all(map(INTEGER.fullmatch, texts))]
    found = replies([{"answers": distinct[n]} for n in asked], None, time_limit)
    spelling = [{text: _without_zeros(text) for text in texts} for texts in distinct]
    for n, firsts in zip(asked, found, strict=True):
        if not isinstance(firsts, End):
            spelling[n] = dict(zip(distinct[n], firsts, strict=True))
    return [
        [text and names.get(text) for text in row]
        for row, names in zip(answers, spelling, strict=True)
    ]


def _without_zeros(text: str) -> str:
    return str(int(text)) if INTEGER.fullmatch(text) else text
