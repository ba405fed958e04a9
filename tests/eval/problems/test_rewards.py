"""Rewards of a user's own: what they get, what they may give, and what is said where they fail."""

import numpy as np
import pytest
import torch

from eval.grading import Grade
from eval.problems.benchmark import benchmark_of_file, problems_digest
from eval.problems.files import Problem, load_problems, worked_solutions
from eval.problems.problem_set import arithmetic_set, word_problem_set
from eval.problems.rewards import Reward, Rewarded, load_reward
from objectives.errors import InputError
from train.models.load import load_model

ROWS = [
    {"question": "Say hello.", "limit": 5, "share": 0.25, "words": ["hi", {"n": 2}]},
    {"question": "Say bye.", "limit": 12345678901234567890, "share": None, "words": []},
]


def rewarded(function):
    return Reward("mine.py:f", function, "0")


def test_a_function_gets_question_completion_and_the_rows_own_values(write_rows):
    problems = load_problems(write_rows(ROWS), gold=False)
    seen = []

    def f(prompt, completion, row):
        seen.append((prompt, completion, row))
        row["words"].append("mine")  # a copy: the next completion's row is as it was
        return 0.5

    assert rewarded(f)([problems[0], problems[0], problems[1]], ["a", "b", "c"]) == [(0.5,)] * 3
    with_mine = [{**row, "words": [*row["words"], "mine"]} for row in ROWS]
    assert seen == [
        ("Say hello.", "a", with_mine[0]), ("Say hello.", "b", with_mine[0]),
        ("Say bye.", "c", with_mine[1]),
    ]  # fmt: skip
    assert [type(seen[0][2][name]) for name in ("limit", "share")] == [int, float]


def test_rows_need_a_gold_answer_only_where_answers_are_graded(write_rows):
    path = write_rows([{**ROWS[0], "answer": "#### 4"}, {**ROWS[1], "answer": None}])
    assert [problem.answer for problem in load_problems(path, gold=False)] == ["4", ""]
    with pytest.raises(InputError, match=r"row 2: no answer in the column answer"):
        load_problems(path)
    without = write_rows(ROWS, "without.jsonl")
    assert load_problems(without, gold=False) == [("Say hello.", ""), ("Say bye.", "")]
    assert worked_solutions(load_problems(without, gold=False)) == []
    with pytest.raises(InputError, match=r"none of the columns answer"):
        load_problems(without)
    with pytest.raises(InputError, match=r"--answer-column gold is not among"):
        load_problems(without, gold=False, answer_column="gold")


def test_the_digest_of_problems_is_of_whole_rows_where_a_reward_reads_them(write_rows):
    one = load_problems(write_rows(ROWS), gold=False)
    other = load_problems(write_rows([{**ROWS[0], "limit": 6}, ROWS[1]]), gold=False)
    assert problems_digest(one) == problems_digest(other)
    assert problems_digest(one, rows=True) != problems_digest(other, rows=True)


@pytest.mark.parametrize(
    ("given", "number"),
    [(0.25, 0.25), (3, 3.0), (True, 1.0), (np.float32(0.5), 0.5), (np.bool_(True), 1.0),
     (torch.tensor(2.5), 2.5), (-1e18, -1e18)],
)  # fmt: skip
def test_what_is_a_number(given, number):
    (found,) = rewarded(lambda *_: given)([Problem("q", "a")], ["c"])
    assert (found, type(found.reward)) == ((number,), float)


@pytest.mark.parametrize(
    ("given", "shown"),
    [(None, "None (NoneType)"), ("1", "'1' (str)"), (float("nan"), "nan (float)"),
     (-float("inf"), "-inf (float)"), (10**400, "1000"), (1e19, "1e+19 (float)"), ([1.0], "[1.0]"),
     (torch.ones(2), "tensor([1., 1.]) (Tensor)"), (1j, "1j (complex)")],
)  # fmt: skip
def test_what_is_none_is_named_with_the_row(given, shown, write_rows):
    problem = load_problems(write_rows(ROWS, "mine.jsonl"), gold=False)[1]
    with pytest.raises(InputError) as told:
        rewarded(lambda *_: given)([problem], ["c"])
    assert str(told.value).startswith("--reward mine.py:f: ")
    assert f"mine.jsonl row 2: it gave {shown}" in str(told.value)
    assert str(told.value).endswith("where a finite float is wanted")


FAILING = """
def key(prompt, completion, row):
    return row["absent"]

def leave(prompt, completion, row):
    raise SystemExit(3)

def two(prompt, completion):
    return 1.0

async def later(prompt, completion, row):
    return 1.0

number = 3
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("key", "--reward {f}:key: the problem '1+1*2=': KeyError: 'absent' ({f} line 3: `return"),
        ("leave", "--reward {f}:leave: the problem '1+1*2=': SystemExit: 3 ({f} line 6: `raise"),
        ("two", "--reward {f}:two: its signature is (prompt, completion): write f(prompt,"),
        ("later", "--reward {f}:later: it is async: write f(prompt, completion, row)"),
        ("number", "--reward {f}:number: number is a int, not a function"),
        ("lat", "--reward {f}:lat: {f} has no lat; did you mean later?"),
        ("", "--reward {f}:: expected my_package.module:function or my_file.py:function"),
    ],
)  # fmt: skip
def test_a_function_that_fails_is_named_with_its_line(name, message, tmp_path):
    file = tmp_path / "failing.py"
    file.write_text(FAILING)
    with pytest.raises(InputError) as told:
        load_reward(f"{file}:{name}")([Problem("1+1*2=", "3")], ["#3"])
    assert str(told.value).startswith(message.format(f=file))
    assert "\n" not in str(told.value)


def test_a_set_of_problems_is_asked_as_written_and_gives_floats(write_rows):
    model, tokenizer = load_model("builtin")
    reward = rewarded(lambda prompt, completion, row: -len(completion) / row["limit"])
    rows = [{"question": "1+1*2=", "limit": 4}, {"question": "2+1*2=", "limit": 8}]
    problems = word_problem_set(write_rows(rows), tokenizer, 6, reward=reward)
    assert problems.prompts == ["1+1*2=", "2+1*2="]
    assert problems.reward is reward
    graded = problems.complete(model, tokenizer, [0, 1], [0, 1], samples=2)
    for limit, row in zip((4, 8), graded, strict=True):
        assert [value for _, value in row] == [-len(c.text) / limit for c, _ in row]
    assert (
        word_problem_set(write_rows([{"question": "1", "answer": "1"}]), tokenizer).reward is None
    )
    own = arithmetic_set(["1+1*2="], reward=rewarded(lambda p, c, row: float(row["answer"])))
    assert own.complete(model, tokenizer, [0], [0])[0][0][1] == 3.0


def test_a_chat_template_gets_the_question_and_nothing_more():
    _, tokenizer = load_model("builtin")
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}|"
    asked = benchmark_of_file("a.jsonl", rewarded(lambda *_: 0.0)).prompt(tokenizer, "Say hello.")
    assert asked == "<user>Say hello.|"


def test_verdicts_of_both_kinds_have_a_value():
    assert Grade(True, "3", "ok").value is True
    assert Rewarded(0.3).value == 0.3
