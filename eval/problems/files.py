"""Problems with gold answers from files, whatever their columns are called."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from eval.boxed import last_boxed
from objectives.errors import InputError

QUESTIONS = ("question", "problem", "input")
ANSWERS = ("answer", "final_answer", "target", "solution")
AS_WRITTEN: dict[str, Any] = {"dtype": False}  # no guesses at what is a number or a date
READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".jsonl": lambda path: pd.read_json(path, lines=True, **AS_WRITTEN),
    ".json": lambda path: pd.read_json(path, **AS_WRITTEN),
    ".parquet": lambda path: pd.read_parquet(path),
    ".csv": lambda path: pd.read_csv(path, dtype=str),
}


class Problem(NamedTuple):
    """A question and its gold answer, both as text."""

    question: str
    answer: str


def load_problems(
    path: str | Path,
    *,
    question_column: str | None = None,
    answer_column: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Problem]:
    """Read problems from a JSON Lines, JSON, Parquet or CSV file.

    question_column, answer_column: by default the first known name that the file has; a column
    `body` is put before the question. limit, offset: how many problems, from which on.
    Raises InputError naming the file, column or row that does not fit.
    """
    problems = read_problems(str(path), _read(Path(path)), question_column, answer_column)
    chosen = problems[offset:][:limit]
    if not chosen:
        raise InputError(f"{path} has {len(problems)} problems: none from --offset {offset} on")
    return chosen


def read_problems(
    source: str,
    rows: list[dict],
    question_column: str | None = None,
    answer_column: str | None = None,
) -> list[Problem]:
    """Return the problems in rows of a table.

    source: what messages call the table. question_column, answer_column: as for load_problems.
    Raises InputError naming the column or row that does not fit.
    """
    columns = list(rows[0]) if rows else []
    question = question_column or _find(source, columns, QUESTIONS, "--question-column")
    answer = answer_column or _find(source, columns, ANSWERS, "--answer-column")
    for name, option in ((question, "--question-column"), (answer, "--answer-column")):
        if name not in columns:
            raise InputError(
                f"{source}: {option} {name} is not among its columns {', '.join(columns)}"
            )
    problems = []
    for number, row in enumerate(rows, 1):
        text, gold = row[question], gold_answer(row[answer])
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{source} row {number}: no text in the column {question}")
        if not gold:
            raise InputError(f"{source} row {number}: no answer in the column {answer}")
        body = row.get("body")
        text = f"{body} {text}" if isinstance(body, str) and body.strip() else text
        problems.append(Problem(text.strip(), gold))
    return problems


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        raise InputError(f"{path}: no such file of problems")
    if path.suffix not in READERS:
        raise InputError(f"{path}: expected a file ending in {', '.join(READERS)}")
    try:
        rows = READERS[path.suffix](path).to_dict("records")
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as {path.suffix}: {error}") from None
    if not rows:
        raise InputError(f"{path} holds no problems")
    return rows


def _find(source: str, columns: list[str], known: tuple[str, ...], option: str) -> str:
    for name in known:
        if name in columns:
            return name
    raise InputError(
        f"{source}: none of the columns {', '.join(known)} among {', '.join(map(str, columns))}; "
        f"rename one, or, for --problems, name it with {option}"
    )


def gold_answer(value: Any) -> str:
    """Return a gold answer as text, without the worked solution around it; "" if there is none.

    Reads what follows GSM8K's `####`, the last `\\boxed{}` of a solution, the number before
    ASDiv's unit in brackets, a list's only or joined entries, and 43.0 as 43.
    """
    if isinstance(value, list) or hasattr(value, "tolist"):
        entries = value if isinstance(value, list) else value.tolist()
        entries = entries if isinstance(entries, list) else [entries]
        return ", ".join(filter(None, map(gold_answer, entries)))
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else str(value)
    if value is None:
        return ""
    text = str(value).strip() if not isinstance(value, dict) else json.dumps(value)
    if "####" in text:
        return text.rsplit("####", 1)[1].strip().replace(",", "")
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed
    with_unit = re.fullmatch(r"(-?[\d.,/:]+) \(.*\)", text)
    if with_unit:
        return with_unit[1]
    return str(int(text[:-2])) if re.fullmatch(r"-?\d+\.0", text) else text
