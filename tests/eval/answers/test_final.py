"""Where a completion's answer is: after its thinking, and finished where it was cut off."""

import time

import pytest

from eval.answers.final import final_answer, opened_thinking
from eval.grading_worker import grade_one


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<reasoning>", "</reasoning>"),
        ("<thought>", "</thought>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<seed:think>", "</seed:think>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("analysis", "assistantfinal"),
    ],
)
def test_what_follows_the_thinking_counts(begin, end):
    thought = f"{begin}maybe \\boxed{{7}}, no{end}"
    assert grade_one(f"{thought} \\boxed{{8}}", "8")["correct"]
    assert grade_one(f"{thought} **Answer: 8**", "8")["correct"]
    for after in ("", " So it is clear.", " **Answer: 8**"):
        assert not grade_one(thought + after, "7")["correct"]


@pytest.mark.parametrize("text", ["<think>it is \\boxed{7}", "a</think>b <think>\\boxed{7}"])
def test_unfinished_thinking_has_no_answer(text):
    assert grade_one(text, "7")["status"] == "unparseable"


def test_a_prompt_may_open_the_thinking():
    assert opened_thinking("<|user|>2+5?<|assistant|><think>\n") == "<think>"
    assert opened_thinking("2+5?<think>\n\n</think>\n\n") == ""
    assert opened_thinking("2+5?") == ""


@pytest.mark.parametrize(
    "text",
    ["\\boxed{7}", "so \\boxed{7}. And", "**Answer: 7**", "The answer is 7.\nTo see it,",
     "The answer is 7. To see", "The answer is $7$", "#### 7\n", "<answer>7</answer>",
     "\\boxed{7} or rather \\boxed{"],
)  # fmt: skip
def test_a_finished_answer_counts_in_what_was_cut_off(text):
    assert grade_one(text, "7", truncated=True)["correct"]


@pytest.mark.parametrize(
    "text",
    ["7. Multiply by the number of", "it is 7", "The answer is 7", "The answer is 7.", "#### 7",
     "\\boxed{7", "<answer>7", "Answer: 7", "$x = 7$"],
)  # fmt: skip
def test_an_unfinished_one_does_not(text):
    assert grade_one(text, "7", truncated=True)["status"] == "unparseable"
    assert grade_one(text, "7")["correct"] or "Multiply" in text


@pytest.mark.parametrize(
    ("text", "boxed"),
    [("\\boxed{7}", True), ("<answer>7</answer>", True), ("The answer is 7.", False), ("7", False)],
)
def test_whether_it_was_in_a_box_is_told(text, boxed):
    assert grade_one(text, "7")["boxed"] is boxed


@pytest.mark.parametrize(
    "text",
    ["\\boxed{5 " + "word " * 40 + "}", "\\boxed{f(x)=ax+b, where " + "b is an integer " * 9 + "}",
     "\\boxed{0." + "12" * 2000 + "}", "\\boxed{" * 3000 + "7" + "}" * 3000, "7 " + "a " * 5000,
     "\\boxed{" + "3 hours " * 90 + "}", "\\boxed{" + "1, " * 150 + "2}",
     "\\boxed{" + "9" * 6000 + "}"],
)  # fmt: skip
def test_long_answers_are_read_at_once(text):
    started = time.process_time()
    grade_one(text, "7 \\text{ cm}")
    assert time.process_time() - started < 4


def test_a_thousand_open_boxes_and_tags_are_read_at_once():
    for text in ("\\boxed{" * 5000, "<answer>" * 5000, "<think>" * 5000, "answer: " * 5000):
        final_answer(text)


@pytest.mark.parametrize(
    "gold",
    ["Let x be the number of apples. Then the total is twice that, and so we see that it holds.",
     "", "$$"],
)  # fmt: skip
def test_a_gold_answer_that_says_nothing_is_unread(gold):
    assert grade_one("\\boxed{7}", gold)["status"] == "unparseable_gold"
