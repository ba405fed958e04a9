"""Problems of multiple choice, in the layouts that data sets have."""

import json

import pandas as pd
import pytest

from eval.grading_worker import grade_one
from eval.problems.files import load_problems
from objectives.errors import InputError

TEXTS = ["12", "15", "a long way over the hills, which nobody has walked for a great many years"]
ASKED = f"How far?\n\n(A) 12\n(B) 15\n(C) {TEXTS[2]}"
LAYOUTS = [
    {"choices": TEXTS, "answer": 1},  # MMLU
    {"options": TEXTS, "answer": "B"},  # MMLU-Pro
    {"options": [f"{letter}){text}" for letter, text in zip("ABC", TEXTS, strict=True)],
     "answer": "B"},  # AQuA
    {"choices": {"text": TEXTS, "label": ["A", "B", "C"]}, "answerKey": "B"},  # ARC
    {"choices": {"text": TEXTS, "label": ["1", "2", "3"]}, "answerKey": "2"},
    {"options": dict(zip("ABC", TEXTS, strict=True)), "answer": "b"},  # MedQA
    {"choices": TEXTS, "answer": "15"},
    {"choices": json.dumps(TEXTS), "answer": "(B)"},
    {"choices": str(TEXTS), "answer": "1"},
]  # fmt: skip


@pytest.mark.parametrize("row", LAYOUTS)
def test_choices_are_asked_and_the_gold_one_is_found(write_rows, tmp_path, row):
    row = {"question": "How far?", **row}
    assert load_problems(write_rows([row])) == [(ASKED, "(B) 15")]
    pd.DataFrame([row]).to_parquet(tmp_path / "set.parquet")
    assert load_problems(tmp_path / "set.parquet") == [(ASKED, "(B) 15")]


def test_the_letter_and_what_it_says_are_right_and_others_are_not(write_rows):
    row = {"question": "How far?", "choices": TEXTS, "answer": 1}
    [problem] = load_problems(write_rows([row]))
    for text in ("B", "(B)", "\\text{(B) } 15", "15", "B. 15"):
        assert grade_one(f"\\boxed{{{text}}}", problem.answer)["correct"], text
    for text in ("A", "1", "12", "2", "(C)"):
        assert not grade_one(f"\\boxed{{{text}}}", problem.answer)["correct"], text


def test_a_long_choice_is_known_by_its_letter(write_rows):
    row = {"question": "How far?", "choices": TEXTS, "answer": 2}
    [problem] = load_problems(write_rows([row]))
    assert problem.answer == "C"
    assert grade_one(f"\\boxed{{(C) {TEXTS[2]}}}", problem.answer)["correct"]


def test_numbers_among_which_the_answer_stands_are_no_places(write_rows):
    row = {"question": "How many?", "choices": [3, 2, 1], "answer": 1}
    [problem] = load_problems(write_rows([row]))
    assert problem.answer == "(C) 1"


def test_rows_without_choices_stay_as_they_are(write_rows):
    rows = [{"question": "a?", "choices": None, "answer": 1}, {"question": "b?", "answer": "2"}]
    rows.append({"question": "c?", "choices": [], "answer": 3})
    assert load_problems(write_rows(rows)) == [("a?", "1"), ("b?", "2"), ("c?", "3")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"choices": TEXTS, "answer": 3}, "3 is neither a label nor a place"),
        ({"choices": TEXTS, "answer": "D"}, "D is neither a label nor a place"),
        ({"choices": "see above", "answer": "D"}, "expected a list of texts"),
        ({"choices": [["a"], ["b"]], "answer": "A"}, "expected a list of texts"),
        ({"choices": ["a"] * 11, "answer": "A"}, "at most 10"),
        ({"choices": {"text": ["a", "b"], "label": ["A", "A"]}, "answer": "A"}, "a label of its"),
    ],
)
def test_choices_that_do_not_fit_are_refused_by_the_row(write_rows, row, message):
    with pytest.raises(InputError, match=f"row 1: the choices of the row: .*{message}"):
        load_problems(write_rows([{"question": "How far?", **row}]))
