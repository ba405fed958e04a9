"""Options, bases, sequences with dots, lists, sets, intervals and words."""

import pytest

from eval.grading_worker import grade_one

SAME = [
    # Options.
    ("B", r"\boxed{\textbf{(B)} 35}"),
    ("B", r"\boxed{\textbf{(B)}\ \frac{3}{5}}"),
    ("B", r"\boxed{\text{B. } 35}"),
    ("B", r"\boxed{B: 35}"),
    ("B", r"\boxed{B) 35}"),
    ("B", r"\boxed{\mathrm{B}}"),
    ("B", r"\boxed{\text{Option B}}"),
    ("B", "The answer is B."),
    ("B", "**Answer: B**"),
    ("B", "**Answer:** (B)"),
    ("B", "The correct option is (B) 35."),
    ("B", "B"),
    ("B", "**B**"),
    (r"\textbf{(B)} 35", r"\boxed{B}"),
    (r"\textbf{(B)} 35", r"\boxed{35}"),
    ("35", r"\boxed{\textbf{(B)}\ 35}"),
    ("A,D", r"\boxed{D, A}"),
    ("A,D", r"\boxed{\text{(A) and (D)}}"),
    ("ABD", r"\boxed{A, B, D}"),
    # Bases.
    ("1011_2", r"\boxed{1011_{2}}"),
    ("1011_2", r"\boxed{1011}"),
    ("1011_2", r"\boxed{1011_{\text{two}}}"),
    ("1011_2", r"\boxed{1011 \text{ (base 2)}}"),
    ("1011_2", r"\boxed{0b1011}"),
    ("3C_{16}", r"\boxed{3c_{16}}"),
    ("11", r"\boxed{1011_2}"),
    # Dots.
    (r"2, 4, \ldots, 2n", r"\boxed{2, 4, 6, \dots, 2n}"),
    (r"1, 2, \ldots, n", r"\boxed{1,2,\cdots,n}"),
    (r"1, 2, \ldots, 8", r"\boxed{1,2,3,4,5,6,7,8}"),
    (r"\{2,4,\ldots,20\}", r"\boxed{2, 4, 6, ..., 20}"),
    (r"2+4+\cdots+2n", r"\boxed{2+4+6+\dots+2n}"),
    # Lists, sets, intervals.
    (r"\emptyset", r"\boxed{\varnothing}"),
    (r"\emptyset", r"\boxed{\{\}}"),
    (r"\emptyset", r"\boxed{∅}"),
    (r"\emptyset", r"\boxed{\text{no solution}}"),
    ("(2,7)", r"\boxed{]2,7[}"),
    (r"(-\infty,3)\cup(5,\infty)", r"\boxed{x<3 \text{ or } x>5}"),
    (r"\{(2,3),(3,2)\}", r"\boxed{(3,2), (2,3)}"),
    (r"\langle 2,3\rangle", r"\boxed{(2,3)}"),
    (r"\text{no real solutions}", r"\boxed{\text{No real solutions.}}"),
    # Answers with words before, twice boxed, boxed twice, between tags.
    ("42", r"\boxed{\text{The answer is } 42}"),
    ("42", r"\boxed{\text{Answer: } 42}"),
    ("42", r"\boxed{42} \boxed{}"),
    ("42", r"\boxed{\boxed{42}}"),
    ("42", "<answer>42</answer>"),
    ("42", "<answer>It is $\\boxed{42}$.</answer>"),
    ("42", "<answer> 42 kg </answer>"),
    ("3/4", r"\boxed\frac{3}{4}"),
    ("42", r"\fbox{42}"),
    ("42", r"\framebox{42}"),
    ("42", r"\boxed 42."),
    ("42", "#### 42"),
    ("42", "## Final answer\n\n42"),
    ("C", r"\boxed{(C) a long way}"),
    ("C", r"\boxed{(C) A long way}"),
    (r"3^{+1}_{-1}", r"\boxed{3_{-1}^{+1}}"),
    (r"2x_1^2", r"\boxed{2 x^2_1}"),
    (r"\sum_{k=1}^{10} k^2_1", r"\boxed{\sum^{10}_{k=1} k_1^2}"),
    ("42", "The answer is 42 because 6 times 7 is 42, not 48."),
]
DIFFERENT = [
    ("B", r"\boxed{\textbf{(C)} 35}"),
    (r"\textbf{(B)} 35", r"\boxed{\textbf{(C)} 35}"),
    ("B", "The answer is C."),
    ("B", r"\boxed{(C) a long way}"),
    ("A", r"\boxed{(A) a or b}"),
    ("B", "The answer is B or C."),
    ("B", "The answer is not B."),
    ("A,D", r"\boxed{A}"),
    ("A,D", r"\boxed{A, B, D}"),
    ("1011_2", r"\boxed{1011_3}"),
    ("1011_2", r"\boxed{1011_{10}}"),
    ("1011_2", r"\boxed{11}"),
    ("1011_2", r"\boxed{1101_2}"),
    ("1011", r"\boxed{1011_2}"),
    ("3", r"\boxed{3^{+1}_{-1}}"),
    ("3", r"\boxed{3_{-1}^{+1}}"),
    ("3.5", r"\boxed{3.5_{-1}^{+1} \text{ m}}"),
    ("5", r"\boxed{2 + 3_{-1}}"),
    (r"3^{+1}_{-1}", r"\boxed{3}"),
    (r"3^{+1}_{-1}", r"\boxed{3^{+2}_{-1}}"),
    (r"1, 2, \ldots, n", r"\boxed{1, 3, \ldots, 2n-1}"),
    (r"1, 2, \ldots, n", r"\boxed{1, 2, \ldots, n-1}"),
    (r"1, 2, \ldots, n", r"\boxed{1, 2, n}"),
    (r"1, 2, 3, \ldots", r"\boxed{1, 2, 4, \ldots}"),
    (r"1, 2, \ldots, 8", r"\boxed{1, 2, \ldots, 9}"),
    (r"2+4+\cdots+2n", r"\boxed{1+2+\cdots+n}"),
    (r"\emptyset", r"\boxed{0}"),
    ("(2,7)", r"\boxed{[2,7]}"),
    (r"\text{Monday}", r"\boxed{\text{Tuesday}}"),
    ("42", r"\boxed{42 \text{ or } 43}"),
    ("42", "The answer is 42 or 43."),
    ("42", "<answer>43</answer>"),
    ("42", r"\boxed{42}, no: <answer>43</answer>"),
]


@pytest.mark.parametrize(("gold", "completion"), SAME)
def test_one_answer(gold, completion):
    assert grade_one(completion, gold)["correct"]


@pytest.mark.parametrize(("gold", "completion"), DIFFERENT)
def test_other_answers(gold, completion):
    assert not grade_one(completion, gold)["correct"]


def test_a_base_that_the_question_names_need_not_be_written():
    asked = "Write eleven in base 2."
    assert grade_one("\\boxed{1011_2}", "1011", question=asked)["correct"]
    assert not grade_one("\\boxed{1011_2}", "11", question=asked)["correct"]


@pytest.mark.parametrize(
    ("gold", "completion", "correct"),
    [
        ("42", r"\boxed{\text{Total: } 42}", True),
        ("42", r"\boxed{\text{42 apples}}", True),
        ("42", r"\boxed{It is 42}", True),
        ("42", r"\boxed{\Large{42}}", True),
        ("42", r"\boxed{\begin{aligned}42\end{aligned}}", True),
        ("42", r"\boxed{n = 6\cdot 7 = 42}", True),
        ("42", "<answer>42</answer><answer></answer>", True),
        ("B", "So option B is correct.", True),
        ("B", "So option B is not correct.", False),
        (r"1, 2, \ldots, n", r"\boxed{n, n-1, \ldots, 1}", True),
        (r"(1,2,\ldots,n)", r"\boxed{(n,n-1,\ldots,1)}", False),
        ("102_3", r"\boxed{102_{(3)}}", True),
    ],
)
def test_words_and_marks_around_an_answer(gold, completion, correct):
    assert grade_one(completion, gold)["correct"] is correct
