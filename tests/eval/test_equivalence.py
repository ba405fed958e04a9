"""Which forms of an answer are the same: a table of what graded completions look like."""

import pytest

from eval.grading_worker import grade_one

EQUIVALENT = [
    (r"\frac12", r"\boxed{1/2}"),
    ("0.5", r"\boxed{\frac12}"),
    (r"\frac12", r"\boxed{\dfrac{1}{2}}"),
    (r"\frac12", r"\boxed{50\%}"),
    ("0.5", r"\boxed{50\%}"),
    (r"50\%", r"\boxed{50}"),
    (r"-\frac{2}{3}", r"\boxed{\frac{-2}{3}}"),
    ("-3", "The answer is -3."),
    ("1,3,5", r"\boxed{5, 3, 1}"),
    ("1,3,5", r"\boxed{1, 3 \text{ and } 5}"),
    ("1,3", r"The answers are $\boxed{3}$ and $\boxed{1}$."),
    (r"\{1,2\}", r"\boxed{2,1}"),
    ("x=1,x=-2", r"\boxed{x=-2, x=1}"),
    ("2,-2", r"\boxed{\pm 2}"),
    (r"\pm 2", r"\boxed{2, -2}"),
    ("1,3", r"\boxed{x = 1 \text{ or } x = 3}"),
    ("5", r"\boxed{5 \text{ cm}}"),
    ("5", r"\boxed{5\,\mathrm{cm}^2}"),
    ("5", r"\boxed{5\text{ apples}}"),
    ("18", r"\boxed{\$18}"),
    ("18", r"She earns \$18 a day."),
    ("18", "She earns $18."),
    ("18.50", r"\boxed{\$18.5}"),
    ("45", r"\boxed{45 \text{ minutes}}"),
    (r"10\text{ inches}", r"\boxed{10}"),
    ("1234567", r"\boxed{1,234,567}"),
    ("1234567", r"\boxed{1{,}234{,}567}"),
    ("1234", "It is 1,234."),
    (r"10,\!080", r"\boxed{10080}"),
    ("[2,3)", r"\boxed{2 \le x < 3}"),
    (r"(-\infty,2)\cup(3,\infty)", r"\boxed{(-\infty, 2) \cup (3, \infty)}"),
    (r"[0,\infty)", r"\boxed{x \ge 0}"),
    ("(1,2)", r"\boxed{1<x<2}"),
    (r"x\ge 2", r"\boxed{[2,\infty)}"),
    (r"\text{Evelyn}", r"\boxed{Evelyn}"),
    (r"\text{(C)}", r"\boxed{C}"),
    (r"\text{even}", r"\boxed{\text{Even}}"),
    ("C", r"\boxed{\textbf{(C)}}"),
    (r"\text{C}", r"\boxed{(C)}"),
    (r"90^\circ", r"\boxed{90}"),
    ("90", r"\boxed{90^{\circ}}"),
    (r"90^\circ", r"\boxed{90 \text{ degrees}}"),
    ("90", "The angle is 90°."),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\boxed{\begin{bmatrix}1 & 2 \\ 3 & 4\end{bmatrix}}",
    ),
    (
        r"\begin{pmatrix}1\\-\frac12\end{pmatrix}",
        r"\boxed{\begin{pmatrix} 1 \\ -0.5 \end{pmatrix}}",
    ),
    ("3", r"\boxed{x=3}"),
    ("x=3", r"\boxed{3}"),
    ("y=2x+1", r"\boxed{y = 1 + 2x}"),
    ("2x+1", r"\boxed{y=2x+1}"),
    ("y=2x+1", r"\boxed{2x+1}"),
    ("2x+y=3", r"\boxed{y+2x-3=0}"),
    ("4.5e33", r"\boxed{4.5 \times 10^{33}}"),
    ("1e-5", r"\boxed{10^{-5}}"),
    (r"4.5\times 10^{33}", r"\boxed{4.5e33}"),
    ("3e8", r"The speed is $3 \cdot 10^8$ m/s."),
    ("0.00006", r"\boxed{6\times10^{-5}}"),
    ("3e8", r"\boxed{300000000}"),
    ("1e-5", r"\boxed{0.00001}"),
    (r"\sqrt{8}", r"\boxed{2\sqrt2}"),
    (r"\frac{1}{\sqrt2}", r"\boxed{\frac{\sqrt{2}}{2}}"),
    (r"3\sqrt{13}", r"$$\boxed{3 \sqrt{13}}$$"),
    ("(x+1)^2", r"\boxed{x^2+2x+1}"),
    ("5:6", r"\boxed{\frac56}"),
    (r"2\frac{1}{2}", r"\boxed{2.5}"),
    ("10^{100}", r"\boxed{10^{100}}"),
    ("0", r"\boxed{0.0}"),
    ("3+4i", r"\boxed{4i+3}"),
    ("2012_3", r"\boxed{2012_{3}}"),
    (r"(3,\frac{\pi}{2})", r"\boxed{\left(3, \frac{\pi}{2}\right)}"),
    ("18", "#### 18"),
    ("18", "**Answer:** 18"),
    ("18", "**18**"),
    ("18", r"The final answer is: $\boxed{18}$. I hope it is correct."),
    ("18", r"\[\boxed{18}\]"),
    ("18", r"\(18\)"),
    ("18", r"First \boxed{3}, later \boxed{18}."),
    (r"\frac{3}{4}", "So the probability is 3/4."),
    ("5", r"\boxed{5.}"),
    ("1/3", r"\boxed{0.333333}"),
    ("1/30", r"\boxed{0.0333333}"),
    ("4.5e33", r"\boxed{45 \times 10^{32}}"),
    ("18", r"\boxed{3} apples + \boxed{15} = \boxed{18}"),
    ("1,3", r"\[\boxed{1} \text{ and } \boxed{3}\]"),
    ("1,3,5", r"$\boxed{1}$, $\boxed{3}$, and $\boxed{5}$"),
    (r"\$32,\!348", r"\boxed{\$32{,}348}"),
]
DIFFERENT = [
    (r"\frac12", r"\boxed{\frac13}"),
    ("0.5", r"\boxed{5\%}"),
    ("0.5", r"\boxed{0.55}"),
    (r"\frac13", r"\boxed{0.33}"),
    (r"50\%", r"\boxed{5\%}"),
    ("-3", r"\boxed{3}"),
    ("1,3,5", r"\boxed{1,3}"),
    ("1,3", r"\boxed{1,3,5}"),
    ("1,3", r"\boxed{1}"),
    (r"\{1,2\}", r"\boxed{\{1,3\}}"),
    ("(1,2)", r"\boxed{(2,1)}"),
    ("(1,2)", r"\boxed{\{2,1\}}"),
    ("[2,3)", r"\boxed{[2,3]}"),
    ("[2,3)", r"\boxed{2\le x\le 3}"),
    ("5", r"\boxed{50 \text{ cm}}"),
    ("1234567", r"\boxed{1,234,568}"),
    ("1234", r"\boxed{1.234}"),
    ("1234", r"\boxed{1,2,3,4}"),
    (r"\text{Evelyn}", r"\boxed{\text{Evan}}"),
    (r"\text{(C)}", r"\boxed{\text{(D)}}"),
    ("C", r"\boxed{B}"),
    (r"90^\circ", r"\boxed{60^\circ}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\boxed{\begin{pmatrix}1&3\\2&4\end{pmatrix}}"),
    ("3", r"\boxed{x=4}"),
    ("y=2x+1", r"\boxed{y=2x-1}"),
    ("x=3", r"\boxed{y=3}"),
    ("4.5e33", r"\boxed{4.5 \times 10^{32}}"),
    ("1e-27", r"\boxed{2 \times 10^{-27}}"),
    ("1.67e-27", r"\boxed{1.68e-27}"),
    (r"\sqrt{8}", r"\boxed{2\sqrt{3}}"),
    ("x^2", r"\boxed{x^3}"),
    ("5:6", r"\boxed{6:5}"),
    (r"2\frac12", r"\boxed{\frac{2}{2}}"),
    ("3+4i", r"\boxed{3-4i}"),
    ("18", r"18 apples less one make \boxed{17}."),
    ("18", r"First \boxed{18}, later \boxed{3}."),
    ("18", r"The answer is 18 or 19: \boxed{19}"),
    ("0", r"\boxed{\text{none}}"),
    ("0", r"\boxed{10^{-9}}"),
    ("18", r"\boxed{}"),
    ("12", r"\boxed{1 2 3}"),
    ("1000001", r"\boxed{1000002}"),
    ("10^{100}", r"\boxed{10^{99}}"),
    ("4.2", r"\boxed{4.2\%}"),
    ("1,3", r"It is not \boxed{1}, it is \boxed{3}."),
    ("3", r"$\boxed{1}$ and $\boxed{3}$"),
    (".0000672", r"\boxed{.0000673}"),
]


@pytest.mark.parametrize(("gold", "completion"), EQUIVALENT)
def test_equivalent_forms(gold, completion):
    verdict = grade_one(completion, gold)
    assert (verdict["correct"], verdict["status"]) == (True, "ok")


@pytest.mark.parametrize(("gold", "completion"), DIFFERENT)
def test_other_answers(gold, completion):
    assert grade_one(completion, gold)["correct"] is False


@pytest.mark.parametrize("completion", ["", "I do not know.", "\\boxed{", "x" * 5000])
def test_no_answer(completion):
    assert grade_one(completion, "3") == {
        "correct": False, "answer": None, "status": "unparseable", "boxed": False,
    }  # fmt: skip


def test_a_long_line_of_boxes_is_read_quickly():
    verdict = grade_one("\\boxed{1} then " * 3000 + "\\boxed{7}", "7")
    assert verdict["correct"]
