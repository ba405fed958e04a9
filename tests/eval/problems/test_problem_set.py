"""Problems that a policy answers: how they are asked and graded, and how processes divide them."""

import pytest

from eval.problems.arithmetic import held_out_problems, work_out
from eval.problems.problem_set import arithmetic_set, word_problem_set
from objectives.errors import InputError
from train.models.load import load_model


class _OneOf:
    """One of several processes, whose list gathered is the lists of those before it and its own."""

    def __init__(self, rank, count, lists):
        self.rank, self.count, self.lists = rank, count, lists

    def share(self, items):
        return list(items[self.rank :: self.count])

    def gathered(self, make):
        self.lists.append(list(make()))
        total = sum(map(len, self.lists))
        lists, count = self.lists, len(self.lists)
        return [lists[place % count][place // count] for place in range(total)]


@pytest.mark.parametrize("count", [2, 5])  # five processes for four problems: one has none
def test_processes_that_share_problems_get_what_one_alone_gets(count):
    model, tokenizer = load_model("builtin")
    problems = arithmetic_set(held_out_problems(6))
    how = {"samples": 2, "temperature": 0.9, "seed": 3}
    index, keys = [5, 0, 2, 3], [7, 1, 0, 9]
    alone = problems.complete(model, tokenizer, index, keys, **how)
    assert len({c.text for row in alone for c, _ in row}) > 2
    lists = []
    for rank in range(count):
        whole = problems.complete(
            model, tokenizer, index, keys, among=_OneOf(rank, count, lists), **how
        )
    assert whole == alone


def test_the_built_in_problems_are_asked_as_they_are_and_graded_by_what_follows_the_sign():
    problems = arithmetic_set(["2+3*1+3+6=", "1+1*2+1+1="], 12)
    assert problems.prompts == ["2+3*1+3+6=", "1+1*2+1+1="]
    assert [problem.answer for problem in problems.problems] == ["14", "5"]
    assert problems.max_new_tokens == 12
    assert arithmetic_set([]).max_new_tokens == 48
    flawed = work_out("1+1*2+1+1=", precedence=False)
    grades = problems.grade(problems.problems, [work_out("2+3*1+3+6="), flawed])
    assert [grade.correct for grade in grades] == [True, False]


def test_problems_of_a_file_are_asked_in_words_and_graded_by_mathematics(write_rows):
    path = write_rows([{"question": f"What is {n} halves?", "answer": f"{n}/2"} for n in (3, 4)])
    tokenizer = load_model("builtin")[1]
    problems = word_problem_set(str(path), tokenizer)
    assert "What is 3 halves?" in problems.prompts[0]
    assert "boxed" in problems.prompts[0]
    assert problems.max_new_tokens == 256
    grades = problems.grade(problems.problems, ["\\boxed{1.5}", "\\boxed{1}"])
    assert [grade.correct for grade in grades] == [True, False]
    assert len(word_problem_set(str(path), tokenizer, limit=1).prompts) == 1
    with pytest.raises(InputError, match="no such file"):
        word_problem_set("nowhere.jsonl", tokenizer)
