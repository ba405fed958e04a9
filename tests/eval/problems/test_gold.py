"""The gold answer in a cell, by what is written around it."""

import pytest

from eval.problems.gold import gold_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#### (2, 7)", "(2, 7)"),
        ("#### 4,6", "4,6"),
        ("#### \\{4,6\\}", "\\{4,6\\}"),
        ("#### [4,6)", "[4,6)"),
        ("#### (150,400)", "(150,400)"),
        ("#### 4, 600", "4, 600"),
        ("#### 12,345,678", "12345678"),
        ("#### $1,250.50", "$1250.50"),
        ("#### -1,250", "-1250"),
        ("#### 1,25", "1,25"),
        ("#### 1,2345", "1,2345"),
        ("first #### 3, then\n#### 4", "4"),
    ],
)
def test_only_commas_between_groups_of_three_digits_go(text, expected):
    assert gold_answer(text) == expected


@pytest.mark.parametrize(
    "text",
    ["3 (x - 1)", "2 (1 + \\sqrt{3})", "7 (a+b)", "2 (mod 5)", "3 (x)", "4 (xy)", "2 (pi)",
     "5 (sin x)", "6 (2)", "2 (n!)", "8 (x^2)"],
)  # fmt: skip
def test_a_bracket_without_a_unit_belongs_to_the_answer(text):
    assert gold_answer(text) == text


@pytest.mark.parametrize(
    "unit",
    ["birds", "cm", "m", "km/h", "square feet", "GB", "%", "$", " toy cars", "m²", "hours per day"],
)
def test_a_bracket_with_a_unit_does_not(unit):
    assert gold_answer(f"12.5 ({unit})") == "12.5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hence $x=\\boxed{4}$ or $x=\\boxed{6}$.", "4, 6"),
        ("So $\\boxed\\frac{5}{8}$.", "\\frac{5}{8}"),
        ("So $\\boxed\\frac58$ it is.", "\\frac58"),
        ("So $\\boxed\\sqrt{7}$.", "\\sqrt{7}"),
        ("\\boxed 5", "5"),
        ("\\boxed5.", "5"),
        ("\\fbox{6}", "6"),
        ("\\framebox{8}", "8"),
        ("\\framebox[2cm]{8}", "8"),
        ("\\boxed {8}", "8"),
        ("\\boxed{\\fbox{8}}", "8"),
        ("\\boxed{\\left\\{ 3 \\right.}", "\\left\\{ 3 \\right."),
        ("\\boxed{8}\\boxed{}", "8"),
        ("not \\boxed{3}, it is \\boxed{4}", "4"),
    ],
)
def test_boxes_are_read_as_in_completions(text, expected):
    assert gold_answer(text) == expected


def test_a_cell_of_verl():
    assert gold_answer({"style": "rule", "ground_truth": "4"}) == "4"
    assert gold_answer({"style": "rule", "ground_truth": ["4", "#### 5"]}) == "4, 5"
    assert gold_answer({"style": "rule", "ground_truth": None}) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("so\n#### 4\nThat is all.", "4"),
        ("so\n####\n4", "4"),
        ("['4', '6']", "4, 6"),
        ('["4"]', "4"),
        ("['4', 6", "['4', 6"),
        ("[4,6]", "[4,6]"),
        (b"4", "4"),
        ({"value": "4", "aliases": ["four"]}, "4"),
        ([{"text": "4"}], "4"),
        ({"style": "model"}, ""),
    ],
)
def test_what_other_programs_wrote(value, expected):
    assert gold_answer(value) == expected
