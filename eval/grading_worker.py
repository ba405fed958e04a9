"""Grades completions, and groups answers, that come on standard input: run by eval.grading.

Imports math-verify and its sympy but no torch, so that a worker is quick to start and replace.
"""

import json
import signal
import sys

from eval.answers.boxes import boxed_answer
from eval.answers.equality import readable, same_answer
from eval.answers.final import final_answer
from eval.answers.reading import read_text


def grade_one(completion: str, gold: str, truncated: bool = False, question: str = "") -> dict:
    """Return {correct, answer, status, boxed} of one completion against a gold answer."""
    gold = boxed_answer(gold, finished=True) or gold
    if not readable(gold):
        return _verdict(status="unparseable_gold")
    found = final_answer(completion, truncated=truncated)
    answer = found and (found.text if found.whole else read_text(found.text))
    if not found or not answer:
        return _verdict(status="unparseable")
    return _verdict(same_answer(gold, answer, question), answer, "ok", found.boxed)


def grouped(answers: list[str]) -> list[str]:
    """Return for each answer the first one of its value."""
    firsts: list[str] = []
    for place, answer in enumerate(answers):
        known = dict.fromkeys(firsts[:place])
        firsts.append(next((f for f in known if _equal(f, answer)), answer))
    return firsts


def _equal(one: str, other: str) -> bool:
    try:
        return same_answer(one, other) or same_answer(other, one)
    except Exception:  # as above, of one pair
        return False


def _verdict(
    correct: bool = False, answer: str | None = None, status: str = "", boxed: bool = False
) -> dict:
    return {"correct": correct, "answer": answer, "status": status, "boxed": boxed}


def main(limit: float) -> None:
    """Answer lines for ever; one that takes more processor seconds than the limit ends us."""
    grade_one("\\boxed{1}", "\\frac12")  # loads what the first one would wait for
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        _allow(limit)
        try:
            answer = grouped(**asked) if "answers" in asked else grade_one(**asked)
        except Exception:  # a parser's bug on one completion is that completion's misfortune
            answer = asked.get("answers") or _verdict(status="unparseable")
        _allow(0)
        print(json.dumps(answer), flush=True)


def _allow(seconds: float) -> None:
    """Let the kernel end this process after so many processor seconds, 0: no longer."""
    if hasattr(signal, "setitimer"):  # elsewhere the parent's clock alone ends it
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]))
