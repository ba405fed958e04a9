"""Problems with gold answers from files, whatever their columns are called."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from eval.problems.choices import choices, gold_choice, shown
from eval.problems.gold import gold_answer
from eval.problems.tables import WrittenNumber, plain, read_rows
from objectives.errors import InputError

QUESTIONS = ("question", "problem", "input", "prompt")
ANSWERS = ("answer", "final_answer", "target", "solution", "ground_truth", "reward_model",
           "answerkey")  # fmt: skip
SOLVED = ("####", "\\boxed")  # in an answer that is a whole solution
ASKING = ("system", "user")  # roles of the messages that a question may be


class Problem(NamedTuple):
    """A question and its gold answer, both as text."""

    question: str
    answer: str


class ProblemOfRow(Problem):
    """A problem with the row that it is read from; it equals the same problem without."""

    row: dict
    where: str  # which row of which file
    solution: str | None  # worked, where it is known


def row_of(problem: Problem) -> dict:
    """Return a copy of the row of a problem, numbers as numbers; of one without row, both texts."""
    if isinstance(problem, ProblemOfRow):
        return plain(problem.row)
    return {"question": problem.question, "answer": problem.answer}


def load_problems(
    path: str | Path,
    *,
    question_column: str | None = None,
    answer_column: str | None = None,
    limit: int | None = None,
    offset: int = 0,
    gold: bool = True,
) -> list[Problem]:
    """Read problems from a file that `read_rows` reads.

    question_column, answer_column: by default the first known name that the file has; a column
    `body` is put before the question. limit, offset: how many problems, from which on. gold: as
    for read_problems. Raises InputError naming the file, column or row that does not fit.
    """
    rows = read_rows(Path(path))
    problems = read_problems(str(path), rows, question_column, answer_column, gold=gold)
    chosen = problems[offset:][:limit]
    if not chosen:
        raise InputError(f"{path} has {len(problems)} problems: none from --offset {offset} on")
    return chosen


def read_problems(
    source: str,
    rows: list[dict],
    question_column: str | None = None,
    answer_column: str | None = None,
    *,
    gold: bool = True,
) -> list[Problem]:
    """Return the problems in rows of a table.

    source: what messages call the table. question_column, answer_column: as for load_problems.
    gold: each must have a gold answer; else one that has none gets "", as a reward may not want it.
    A question is text or what a user, after a system's words or none, says in chat messages; of a
    row with choices (and gold) these follow it, with letters, and the gold answer is one of them.
    Raises InputError naming the column or row that does not fit.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    question = question_column or _find(source, columns, QUESTIONS, "--question-column")
    answer = answer_column
    if answer is None and (gold or _known(columns, ANSWERS) is not None):
        answer = _find(source, columns, ANSWERS, "--answer-column")
    for name, option in ((question, "--question-column"), (answer, "--answer-column")):
        if name is not None and name not in columns:
            raise InputError(
                f"{source}: {option} {name} is not among its columns {', '.join(columns)}"
            )
    problems = []
    for number, row in enumerate(rows, 1):
        where = f"{source} row {number}"
        text, given = _asked(row.get(question), where, question), row.get(answer)
        own = gold_answer(given)
        if not text.strip():
            raise InputError(f"{where}: no text in the column {question}")
        if gold and not own:
            raise InputError(f"{where}: no answer in the column {answer}")
        body = row.get("body")
        text = f"{body} {text}" if isinstance(body, str) and body.strip() else text
        asked = _with_choices(text.strip(), own, row, given, where) if gold else (text.strip(), own)
        problem = ProblemOfRow(*asked)
        problem.row, problem.where = row, where
        problem.solution = _solution(own, row.get("solution"), given)
        problems.append(problem)
    return problems


def _solution(gold: str, solution: Any, answer: Any) -> str | None:
    """Return the worked solution of a problem where a column of it or its answer has one."""
    worked = [solution] if isinstance(solution, str) else []
    if isinstance(answer, str) and any(sign in answer for sign in SOLVED):
        worked.append(answer)
    longer = (text.strip() for text in worked if len(text.split()) > len(gold.split()))
    return next(longer, None)


def _with_choices(text: str, gold: str, row: dict, answer: Any, where: str) -> tuple[str, str]:
    """Return a question with its choices below it, where the row has some, and the gold one."""
    try:
        found = choices(row)
        if not found:
            return text, gold
        index = isinstance(answer, (WrittenNumber, int))
        gold = gold_choice(found, gold, index)
    except ValueError as error:
        raise InputError(
            f"{where}: the choices of the row: {error}; mend them, or rename their column where "
            f"it has something else"
        ) from None
    return f"{text}\n\n{shown(found)}", gold


def worked_solutions(problems: Iterable[Problem]) -> list[str]:
    """Return the solutions of those problems that come with one."""
    found = (getattr(problem, "solution", None) for problem in problems)
    return [solution for solution in found if solution is not None]


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


def _known(columns: Iterable[str], known: tuple[str, ...]) -> str | None:
    by_name = {str(column).strip().lower(): column for column in reversed(list(columns))}
    return next((by_name[name] for name in known if name in by_name), None)


def _find(source: str, columns: Iterable[str], known: tuple[str, ...], option: str) -> str:
    found = _known(columns, known)
    if found is not None:
        return found
    raise InputError(
        f"{source}: none of the columns {', '.join(known)} among {', '.join(map(str, columns))}; "
        f"rename one, or, for --problems, name it with {option}"
    )
