"""The chains: their problems, right and straying solutions, and what is shipped of them."""

import random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.problems.arithmetic import solve
from eval.problems.chains import (
    CHAINS,
    SLIP,
    first_illegal_step,
    is_correct,
    reductions,
    work_out,
)
from eval.problems.tasks import TASKS, task_problems
from train.builtin.base_model import train_base
from train.builtin.lessons import LESSONS
from train.builtin.made import PROMPTS, SAMPLES, SEED
from train.config import builtin_tasks
from train.config.builtin_tasks import shipped_rollouts

EXAMPLE, SOLUTION = "7+3*3+6+1=", "7+9+6+1=16+6+1=22+1=23"


def test_the_worked_example():
    assert solve(EXAMPLE) == 23
    assert is_correct(EXAMPLE, SOLUTION)
    assert first_illegal_step(EXAMPLE, SOLUTION) is None
    assert reductions(["+", "*", "+", "+"]) == ([1, 3], [0, 2])
    strayed = "10*3+6+1=30+6+1=36+1=37"
    assert first_illegal_step(EXAMPLE, strayed) == 1
    assert not is_correct(EXAMPLE, strayed)
    assert first_illegal_step(EXAMPLE, "7+9+6+1=16+6+1=16+7=24") == 4  # a slip


@pytest.mark.parametrize("name", CHAINS)
@given(seed=st.integers(0, 10_000))
def test_solutions_are_those_of_python_and_fit(name, seed):
    chain = CHAINS[name]
    (problem,) = chain.sample_problems(1, seed)
    assert problem.count("*") == chain.products
    assert problem.count("*") + problem.count("+") == chain.numbers - 1
    rng = random.Random(seed)
    right = work_out(problem, rng)
    assert solve(problem) == eval(problem.removesuffix("="))  # digits and operators of our making
    assert is_correct(problem, right)
    assert first_illegal_step(problem, right) is None
    assert len(right) < chain.max_new_tokens
    strayed = work_out(problem, rng, stray=1.0)
    assert len(strayed) < chain.max_new_tokens
    state, *_ = strayed.split("=")
    assert first_illegal_step(problem, f"{state}=") == 1


def test_there_are_many_right_ways():
    rng = random.Random(0)
    ways = {work_out(EXAMPLE, rng) for _ in range(200)}
    assert len(ways) == 8  # six orders of three `+` after 3*3, two where 6+1 came before it
    assert all(is_correct(EXAMPLE, way) for way in ways)


@pytest.mark.parametrize("completion", ["", "23=", "=", "22+1=2 3", "23#"])
def test_answers_that_are_not_the_number_after_the_last_mark(completion):
    assert not is_correct(EXAMPLE, completion)


def test_a_demonstration_strays_as_often_as_its_chain_says():
    chain = CHAINS["chains"]
    demonstrate = LESSONS["chains"].demonstrate
    problems, rng = chain.sample_problems(1500, 1), random.Random(0)
    # Where nothing slips, a first step strays with the chance of straying.
    first = [first_illegal_step(p, demonstrate(p, rng).split("=")[0] + "=") == 1 for p in problems]
    assert sum(first) / len(first) == pytest.approx(chain.stray + SLIP, abs=0.03)


@pytest.mark.parametrize("name", CHAINS)
def test_shipped_rollouts_are_graded_right_and_on_no_test_problem(name):
    task, table = TASKS[name], pd.read_parquet(shipped_rollouts(name))
    assert len(table) == PROMPTS * SAMPLES
    held_out = frozenset(task.held_out())
    assert len(held_out) == 1000
    problems = task.sample_problems(PROMPTS, SEED, held_out)
    assert table.groupby("group_id")["prompt"].first().tolist() == problems
    graded = map(task.is_correct, table["prompt"], table["completion"])
    assert [1.0 if right else -1.0 for right in graded] == table["reward"].tolist()
    assert 0.2 < (table["reward"] > 0).mean() < 0.3


@pytest.mark.parametrize("name", TASKS)
def test_validation_problems_are_none_of_the_test_set(name):
    task, problems = task_problems(f"{name}-validation")
    assert task is TASKS[name]
    assert len(set(problems)) == 500
    assert task_problems(f"{name}-validation", 20)[1] == problems[:20]
    assert task_problems(name)[1] == task.held_out()
    assert not set(problems) & set(task.held_out())
    trained = set(pd.read_parquet(shipped_rollouts(name))["prompt"])
    assert len(set(problems) & trained) <= 2  # drawn apart, so that chance alone makes them meet
    assert task_problems(f"{name}-other") is None


def test_names_of_tasks_stand_in_two_places_alike():
    assert set(builtin_tasks.TASKS) == set(TASKS) == set(LESSONS)


def test_a_base_reads_its_tasks_characters():
    model, tokenizer = train_base(LESSONS["chains"], frozenset(), seed=0, steps=1)
    text = EXAMPLE + SOLUTION
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert model.config.max_position_embeddings == 256
