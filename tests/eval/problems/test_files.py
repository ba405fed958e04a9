"""Problem files as published, and the answers in them."""

import pytest

from eval.problems.files import gold_answer, load_problems
from objectives.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("He has 3 left.\n#### 1,234", "1234"),
        ("so $\\boxed{\\frac{1}{2}}$, thus $\\boxed{\\sqrt{3}}$.", "\\sqrt{3}"),
        ("9 (apples)", "9"),
        ("5:6 (ratio)", "5:6"),
        (43.0, "43"),
        ("43.0", "43"),
        (0.5, "0.5"),
        (["\\frac{1}{2}", "3"], "\\frac{1}{2}, 3"),
        ("x+1", "x+1"),
        (float("nan"), ""),
        (None, ""),
    ],
)
def test_gold_answers(value, expected):
    assert gold_answer(value) == expected


@pytest.mark.parametrize(
    ("name", "count", "answer"),
    [
        ("gsm8k", 1319, "18"),
        ("math500", 500, "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("amc23", 40, "27"),
        ("minerva_math", 272, "1.6"),
        ("olympiadbench", 675, "2"),
        ("mawps_singleop", 562, "14"),
        ("asdiv", 2215, "9"),
    ],
)
def test_published_files(benchmarks, name, count, answer):
    problems = load_problems(benchmarks / f"{name}.jsonl")
    assert len(problems) == count
    assert problems[0].answer == answer
    assert all(problem.question and problem.answer for problem in problems)


def test_a_body_comes_before_its_question(write_rows):
    path = write_rows([{"body": "Two cats.", "question": "How many?", "answer": "2 (cats)"}])
    assert load_problems(path) == [("Two cats. How many?", "2")]


def test_columns_by_name_limit_and_offset(write_rows):
    path = write_rows([{"q": str(i), "a": i} for i in range(5)])
    named = {"question_column": "q", "answer_column": "a"}
    chosen = load_problems(path, **named, limit=2, offset=1)
    assert [problem.answer for problem in chosen] == ["1", "2"]
    with pytest.raises(InputError, match="--question-column"):
        load_problems(path)
    with pytest.raises(InputError, match="none from --offset 9"):
        load_problems(path, **named, offset=9)


def test_bad_files_are_named(write_rows, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_problems(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="holds no problems"):
        load_problems(write_rows([]))
    with pytest.raises(InputError, match="row 2: no answer"):
        load_problems(
            write_rows([{"question": "1?", "answer": "1"}, {"question": "2?", "answer": ""}])
        )
    with pytest.raises(InputError, match="row 1: no text"):
        load_problems(write_rows([{"question": " ", "answer": "1"}]))
    text = tmp_path / "problems.txt"
    text.write_text("1+1")
    with pytest.raises(InputError, match="ending in"):
        load_problems(text)
