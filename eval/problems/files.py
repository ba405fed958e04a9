"""Problems with gold answers from files, whatever their columns are called."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from eval.problems.gold import gold_answer
from eval.problems.tables import WrittenNumber, read_rows
from objectives.errors import InputError

QUESTIONS = ("question", "problem", "input", "prompt")
ANSWERS = ("answer", "final_answer", "target", "solution", "ground_truth", "reward_model")
SOLVED = ("####", "\\boxed")  # in an answer that is a whole solution
ASKING = ("system", "user")  # roles of the messages that a question may be


class Problem(NamedTuple):
    """A question and its gold answer, both as text."""

    question: str
    answer: str


class WorkedProblem(Problem):
    """A problem whose solution is known too; it equals the same problem without."""

    solution: str


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
    problems = read_problems(str(path), read_rows(Path(path)), question_column, answer_column)
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
    A question is text or what a user, after a system's words or none, says in chat messages.
    Raises InputError naming the column or row that does not fit.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    question = question_column or _find(source, columns, QUESTIONS, "--question-column")
    answer = answer_column or _find(source, columns, ANSWERS, "--answer-column")
    for name, option in ((question, "--question-column"), (answer, "--answer-column")):
        if name not in columns:
            raise InputError(
                f"{source}: {option} {name} is not among its columns {', '.join(columns)}"
            )
    problems = []
    for number, row in enumerate(rows, 1):
        where = f"{source} row {number}"
        text, gold = _asked(row.get(question), where, question), gold_answer(row.get(answer))
        if not text.strip():
            raise InputError(f"{where}: no text in the column {question}")
        if not gold:
            raise InputError(f"{where}: no answer in the column {answer}")
        body = row.get("body")
        text = f"{body} {text}" if isinstance(body, str) and body.strip() else text
        problems.append(_problem(text.strip(), gold, row.get("solution"), row.get(answer)))
    return problems


def _problem(question: str, gold: str, solution: Any, answer: Any) -> Problem:
    """Return a problem, with its worked solution where a column of it or its answer has one."""
    worked = [solution] if isinstance(solution, str) else []
    if isinstance(answer, str) and any(sign in answer for sign in SOLVED):
        worked.append(answer)
    longer = (text.strip() for text in worked if len(text.split()) > len(gold.split()))
    text = next(longer, None)
    if text is None:
        return Problem(question, gold)
    problem = WorkedProblem(question, gold)
    problem.solution = text
    return problem


def worked_solutions(problems: Iterable[Problem]) -> list[str]:
    """Return the solutions of those problems that come with one."""
    return [problem.solution for problem in problems if isinstance(problem, WorkedProblem)]


def _asked(value: Any, where: str, column: str) -> str:
    """Return a question as text, of messages what they say; "" where there is none."""
    if isinstance(value, str) and not isinstance(value, WrittenNumber):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(m, dict) for m in value):
        return ""
    roles = [message.get("role") for message in value]
    contents = [message.get("content") for message in value]
    if roles[-1] != "user" or not set(roles) <= set(ASKING) or roles.count("user") > 1:
        raise InputError(
            f"{where}: the messages in the column {column} are of {', '.join(map(str, roles))}; "
            f"expected what one user asks, after a system's words or none"
        )
    return "\n\n".join(filter(None, map(_text, contents)))


def _text(content: Any) -> str:
    """Return what a message says, of parts of text all; "" where one is none, as an image."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    written = [text for text in texts if isinstance(text, str)]
    return "".join(written) if len(written) == len(texts) else ""


def _find(source: str, columns: Iterable[str], known: tuple[str, ...], option: str) -> str:
    by_name = {str(column).strip().lower(): column for column in reversed(list(columns))}
    for name in known:
        if name in by_name:
            return by_name[name]
    raise InputError(
        f"{source}: none of the columns {', '.join(known)} among {', '.join(map(str, columns))}; "
        f"rename one, or, for --problems, name it with {option}"
    )
