"""Answers in words, and words around an answer that make it none."""

import pytest

from eval.answers.words import in_signs
from eval.grading_worker import grade_one


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("three hundred and seven", "307"),
        ("forty-two thousand", "42000"),
        ("one million two hundred thousand", "1200000"),
        (r"\text{six marbles}", r"6 \text{ marbles}"),
        ("six or seven", "six or seven"),
        ("six seven", r"6 \text{ seven}"),
        ("8 (eight)", "8"),
        ("8 (nine)", "8 (nine)"),
        (r"\text{There are no real solutions.}", r"\emptyset"),
        ("no", "no"),
        ("DNE", r"\text{does not exist}"),
        (r"\text{infinitely many}", r"\infty"),
        ("all reals", r"\mathbb{R}"),
    ],
)
def test_words_as_signs(text, signs):
    assert in_signs(text) == signs


@pytest.mark.parametrize(
    ("gold", "completion", "correct"),
    [
        (r"\text{none}", r"\boxed{\emptyset}", True),
        (r"\text{none}", r"\boxed{0}", False),
        (r"\text{does not exist}", r"\boxed{\text{DNE}}", True),
        (r"\text{does not exist}", r"\boxed{\infty}", False),
        (r"\infty", r"\boxed{\text{infinitely many solutions}}", True),
        (r"-\infty", r"\boxed{\text{infinity}}", False),
        (r"\text{parabola}", r"\boxed{\text{a parabola}}", True),
        (r"\text{parabola}", r"\boxed{\text{not a parabola}}", False),
        ("1066", r"\boxed{\text{the year } 1066}", True),
        ("8", r"\boxed{\text{The sum is } 8}", True),
        ("8", r"\boxed{\text{The sum is not } 8}", False),
        ("Yes", "**Yes**", True),
        ("Yes", "No.", False),
        ("8", "**Final Answer**\n\n$$\n8\n$$", True),
        ("8", "Answer：8", True),
        ("8", "所以答案是 8。", True),
        ("8", "The answer is therefore $8$.", True),
        ("8", "The answer is only `8`.", True),
        ("8", r"\boxed{8^{\text{th}}}", True),
        ("8", "∴ 8", True),
        ("8", r"\boxed{\text{approximately } 8}", True),
        ("8", r"\boxed{\text{not sure: } 8}", False),
        ("43", r"\boxed{43 \bmod 5}", False),
        ("8", r"\boxed{\text{She has 8 apples left.}}", True),
        ("8", r"\boxed{\text{Total cost: }\$8}", True),
        ("8", r"\boxed{\text{She has no more than 8 apples.}}", False),
        ("8", r"\boxed{\text{twice as much as } 8}", False),
        ("8", r"\boxed{\text{He has 8 apples and 9 pears.}}", False),
        ("8", "The answer: 8? No. 9.", False),
        ("8", "It is not 8", False),
        ("8", "more than 8", False),
        ("8", "The answer isn't 8, it's 9.", False),
        ("8", "It may be 8, or 9, or 10.", False),
        ("8", "x > 8", False),
        (r"\frac14", "¼", True),
        ("x^2-3", "x² − 3", True),
        ("8", r"\boxed{__import__('os').system('echo 8')}", False),
        ("8", r"\boxed{\text{see above}; 8 \$ or so}", False),
    ],
)
def test_what_the_words_say(gold, completion, correct):
    assert grade_one(completion, gold)["correct"] is correct
