"""Worked answers from ASDiv's formulas, to warm up a small model with `--objective sft`.

python -m train.worked_answers --problems asdiv.jsonl --out worked.jsonl
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

from eval.problems.files import read_problems
from eval.problems.tables import read_rows
from eval.prompts import word_problem_messages
from objectives.errors import InputError, command_line
from objectives.output_lock import held
from objectives.whole_files import write_whole
from train.config.flags import Parser
from train.data.kept_file import file_digest
from train.store.provenance import called, provenance

PLAIN = re.compile(r"[\d.+\-*/() ]+=(-?[\d.]+)")


def worked_answer(formula: str, gold: str) -> str:
    """Return a completion that computes a formula such as `7+2=9` and boxes its result.

    Raises ValueError, with the reason, for a formula that is not plain arithmetic or whose result
    is not the gold answer.
    """
    formula = formula.strip()
    found = PLAIN.fullmatch(formula)
    if not found:
        raise ValueError("formula is not plain arithmetic with one result")
    if float(found[1]) != _number(gold):
        raise ValueError("formula's result is not the answer")
    return f"{formula}\nThe answer is \\boxed{{{gold}}}."


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def main() -> None:
    parser = Parser("train.worked_answers", __doc__)
    parser.add_argument(
        "--problems", type=Path, required=True, metavar="PATH", help="ASDiv, in a file of problems"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="table to write, .jsonl"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="problems to read, by default all")
    arguments = parser.parse_args()
    if arguments.out.suffix != ".jsonl":
        raise InputError(f"--out {arguments.out}: expected a name ending in .jsonl")
    with held(arguments.out):
        if arguments.out.exists():
            raise InputError(f"--out {arguments.out} exists: name another file, or remove it")
        _write(arguments)


def made_with(out: Path) -> Path:
    """Return where it is kept what a table was made with: no table itself, by its ending."""
    return out.with_name(f"{out.name}.made_with")


def _write(arguments: argparse.Namespace) -> None:
    table = read_rows(arguments.problems)[: arguments.limit]
    problems = read_problems(str(arguments.problems), table)
    origin = provenance(called("train.worked_answers"))
    origin["digests"] = {"problems": file_digest(arguments.problems)}
    if not any("formula" in row for row in table):
        raise InputError(f"{arguments.problems} has no column formula, as ASDiv has")
    left_out: Counter[str] = Counter()
    rows = []
    for number, (problem, row) in enumerate(zip(problems, table, strict=True)):
        try:
            completion = worked_answer(str(row.get("formula")), problem.answer)
        except ValueError as reason:
            left_out[str(reason)] += 1
            continue
        prompt = word_problem_messages(problem.question)
        rows.append({"prompt": prompt, "completion": completion, "reward": 1.0, "group_id": number})
    if not rows:
        raise InputError(f"{arguments.problems}: no formula that can be written out")
    write_whole(made_with(arguments.out), json.dumps(origin, indent=2) + "\n")
    write_whole(arguments.out, "".join(json.dumps(row) + "\n" for row in rows))
    print(f"wrote {len(rows)} worked answers to {arguments.out}")
    for reason, count in left_out.items():
        print(f"left out: {count} ({reason})")


if __name__ == "__main__":
    command_line(main)
