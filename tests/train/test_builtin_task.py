"""The built-in task: its problems, its two strategies, and what is shipped of it."""

import random

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eval.problems.arithmetic import (
    MAX_NEW_TOKENS,
    follows_precedence,
    held_out_problems,
    is_correct,
    sample_problems,
    solve,
    work_out,
)
from train.builtin.base_model import train_base
from train.builtin.lessons import LESSONS
from train.builtin.made import PROMPTS, SAMPLES, SEED
from train.data.table import BUILTIN_ROLLOUTS


def test_the_worked_example():
    assert work_out("2+3*1+3+6=") == "3*1=3;2+3=5;5+3=8;8+6=14;#14"
    assert work_out("2+3*1+3+6=", precedence=False) == "2+3=5;5*1=5;5+3=8;8+6=14;#14"


@given(st.integers(0, 10_000))
def test_solutions_are_those_of_python_and_fit(seed):
    (problem,) = sample_problems(1, seed)
    value = eval(problem.removesuffix("="))  # digits and operators of our own making
    assert solve(problem) == value
    right, flawed = work_out(problem), work_out(problem, precedence=False)
    assert is_correct(problem, right)
    assert follows_precedence(problem, right)
    assert (right == flawed) == is_correct(problem, flawed)
    assert len(right) < MAX_NEW_TOKENS


@pytest.mark.parametrize("completion", ["", "14", "#14;", "#", "# 14", "#14#15", "#-14"])
def test_answers_that_are_not_the_number_after_the_last_mark(completion):
    assert not is_correct("2+3*1+3+6=", completion)


def test_slips_are_carried_on():
    rng = random.Random(0)
    slipped = [work_out("2+3*1+3+6=", slip=0.3, rng=rng) for _ in range(300)]
    wrong = [text for text in slipped if text != work_out("2+3*1+3+6=")]
    assert 0.6 < len(wrong) / 300 < 0.9  # 1 - 0.7^4 = 0.76
    for text in wrong:
        steps = text.split(";")
        assert steps[-1] == "#" + steps[-2].split("=")[1]


def test_flawed_demonstrations_are_three_in_five():
    problems = [p for p in sample_problems(200, 1) if work_out(p) != work_out(p, precedence=False)]
    source = LESSONS["builtin"].demonstrations(problems, seed=3)
    drawn = [next(source) for _ in range(2000)]
    share = sum(not follows_precedence(*row) for row in drawn) / len(drawn)
    assert abs(share - 0.6) < 0.04


def test_problems_are_the_same_for_the_same_seed_and_exclude_the_test_set():
    held_out = frozenset(held_out_problems())
    assert len(held_out) == 1000
    problems = sample_problems(500, 0, held_out)
    assert problems == sample_problems(500, 0, held_out) != sample_problems(500, 1, held_out)
    assert not held_out & set(problems)


def test_shipped_rollouts_are_graded_right_and_on_no_test_problem():
    table = pd.read_parquet(BUILTIN_ROLLOUTS)
    assert len(table) == PROMPTS * SAMPLES
    assert not set(table["prompt"]) & set(held_out_problems())
    problems = sample_problems(PROMPTS, SEED, frozenset(held_out_problems()))
    assert table.groupby("group_id")["prompt"].first().tolist() == problems
    graded = map(is_correct, table["prompt"], table["completion"])
    assert [1.0 if right else -1.0 for right in graded] == table["reward"].tolist()
    assert 0.3 < (table["reward"] > 0).mean() < 0.45


def test_the_base_is_made_the_same_again():
    exclude = frozenset(held_out_problems(10))
    (one, tokenizer), (other, _) = (
        train_base(LESSONS["builtin"], exclude, seed=0, steps=3) for _ in range(2)
    )
    weights = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert tokenizer.decode(tokenizer("2+3*1=;#-4")["input_ids"]) == "2+3*1=;#-4"
