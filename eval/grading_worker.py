"""Grades completions that come on standard input, a line each: run by eval.grading.

Imports nothing but math-verify, so that a worker is quick to start and to replace.
"""

import json
import sys

from math_verify import parse, verify


def grade_one(completion: str, gold: str) -> dict:
    """Return {correct, answer, status} of one completion against a gold answer."""
    expected = _parse_gold(gold)
    if not expected:
        return {"correct": False, "answer": None, "status": "unparseable_gold"}
    # Their own limits are signals, which fail off the main thread; the parent kills us instead.
    found = parse(completion, parsing_timeout=None)
    if not found:
        return {"correct": False, "answer": None, "status": "unparseable"}
    correct = bool(verify(expected, found, timeout_seconds=None))  # gold first: not symmetric
    return {"correct": correct, "answer": str(found[-1]), "status": "ok"}


def _parse_gold(gold: str) -> list:
    for text in (f"\\boxed{{{gold}}}", f"${gold}$", gold):
        if found := parse(text, parsing_timeout=None):
            return found
    return []


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        completion, gold = json.loads(line)
        try:
            answer = grade_one(completion, gold)
        except Exception:  # a parser's bug on one completion is that completion's misfortune
            answer = {"correct": False, "answer": None, "status": "unparseable"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
