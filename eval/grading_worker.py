"""Grades completions, and groups answers, that come on standard input: run by eval.grading.

Imports math-verify and its sympy but no torch, so that a worker is quick to start and replace.
"""

import json
import os
import re
import resource
import signal
import sys
from pathlib import Path

from eval.answers.boxes import boxed_answer
from eval.answers.equality import readable, same_answer
from eval.answers.final import final_answer
from eval.answers.reading import read_text

MEMORY = 1 << 30  # bytes that a worker may take; grading commonly takes a tenth
PEAK = re.compile(r"VmHWM:\s*(\d+) kB")


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
    """Answer lines for ever; one that takes more processor seconds, or memory, ends us."""
    _limit_addresses(2 * MEMORY)
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
        if _peak_memory() > MEMORY:
            # Libraries make of a MemoryError that answers differ, and keep what they took.
            os.kill(os.getpid(), signal.SIGPROF)  # as the limit of time does
        print(json.dumps(answer), flush=True)


def _allow(seconds: float) -> None:
    """Let the kernel end this process after so many processor seconds, 0: no longer."""
    if hasattr(signal, "setitimer"):  # elsewhere the parent's clock alone ends it
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _peak_memory() -> int:
    """Return the most bytes that this process had; getrusage's are its parent's too."""
    status = Path("/proc/self/status")
    found = PEAK.search(status.read_text()) if status.exists() else None
    return int(found[1]) << 10 if found else 0


def _limit_addresses(size: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    size = size if most == resource.RLIM_INFINITY else min(size, most)
    resource.setrlimit(resource.RLIMIT_AS, (size, most))


if __name__ == "__main__":
    main(float(sys.argv[1]))
