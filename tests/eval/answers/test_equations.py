"""Answers with an equals sign, and conditions that leave a set of numbers."""

import pytest

from eval.answers.sequences import both_signs
from eval.grading_worker import grade_one

SAME = [
    ("f(x)=x^2-1", "f(t)=t^2-1"),
    ("x = 4, y = 7", "(4,7)"),
    ("x = 4, y = 7", "y=7, x=4"),
    ("(4,7)", "x=4, y=7"),
    ("7", "3+4=7"),
    (r"\frac17", r"\frac17 \approx 0.143"),
    (r"\frac17", r"\frac17 = 0.143"),
    ("0.143", r"\frac17 \approx 0.143"),
    (r"\sqrt7", r"\sqrt7 \approx 2.65"),
    ("7", r"\begin{aligned} x &= 3+4 \\ &= 7 \end{aligned}"),
    ("3:5:7", "6:10:14"),
    ("3:5", r"3 \text{ to } 5"),
    ("x^5+C", "x^5 + c"),
    (r"x \equiv 3 \pmod{11}", "3 (mod 11)"),
    (r"3 \pmod{11}", r"x \equiv 14 \mod 11"),
    (r"3 \pmod{11}", "3"),
    (r"\frac{dy}{dx} = x^4", "x^4"),
    ("y' = x^4", "x^4"),
    (r"m\ddot{x}+kx=0", r"kx + m \ddot x = 0"),
    (r"2\mathbf{i}+5\mathbf{j}", r"5\hat{j}+2\hat{i}"),
    (r"\langle 2,5\rangle", r"\begin{pmatrix}2\\5\end{pmatrix}"),
    ("5k", r"5k, k \in \mathbb{Z}"),
    # Sets of numbers.
    ("[2,6]", r"x \ge 2 \text{ and } x \le 6"),
    ("[2,6]", r"x \ge 2, x \le 6"),
    ("[2,6]", r"\{x : 2 \le x \le 6\}"),
    ("[2,6]", r"\{x \in \mathbb{R} \mid 2 \le x \le 6\}"),
    (r"(2,3]\cup[5,6)", r"5\le x<6 \text{ or } 2<x\le 3"),
    (r"(-\infty,2)\cup(6,\infty)", r"x<2, x>6"),
    (r"(-\infty,2)\cup(2,\infty)", r"\mathbb{R}-\{2\}"),
    (r"(-\infty,2)\cup(2,\infty)", r"\text{all real numbers except } 2"),
    (r"(-\infty,\infty)", r"\text{all real numbers}"),
    # Two signs.
    (r"3\pm\sqrt5", r"\frac{6\pm\sqrt{20}}{2}"),
    (r"3\pm\sqrt5", r"3+\sqrt5 \text{ and } 3-\sqrt5"),
    (r"\frac12\pm\frac{\sqrt7}{2}i", r"\frac{1\pm i\sqrt7}{2}"),
    (r"(3,2),(-3,2)", r"(\pm3,2)"),
    (r"(3,-2),(-3,2)", r"(\pm3,\mp2)"),
]
DIFFERENT = [
    ("f(x)=x^2-1", "f(t)=t^2+1"),
    ("f(x)=x^2-1", "f(t)=x^2-1"),
    ("x = 4, y = 7", "(7,4)"),
    ("x = 4, y = 7", "x=7, y=4"),
    ("7", "6=7"),
    ("7", "7=6"),
    ("7", "1=2=3=4=5=6=7"),
    ("7", r"7 \approx 8.5"),
    ("7", r"\ge 7"),
    ("x^5+C", "x^5"),
    ("cx+C", "Cx+c"),
    (r"3 \pmod{11}", r"4 \pmod{11}"),
    (r"3 \pmod{11}", r"3 \pmod{7}"),
    (r"\frac{dy}{dx} = x^4", "x^5"),
    (r"m\ddot{x}+kx=0", r"m\dot{x}+kx=0"),
    (r"2\mathbf{i}+5\mathbf{j}", r"5\mathbf{i}+2\mathbf{j}"),
    (r"\langle 2,5\rangle", r"\begin{pmatrix}5\\2\end{pmatrix}"),
    (r"\begin{pmatrix}2&5\\5&2\end{pmatrix}", "(2,5)"),
    ("7", r"x \ge 7"),
    ("7", r"\begin{aligned} x &= 7 \\ y &= 8 \end{aligned}"),
    ("3:5:7", "6:10:15"),
    ("3:5", r"5 \text{ to } 3"),
    ("[2,6]", r"x \ge 2 \text{ and } x < 6"),
    ("[2,6]", r"x \ge 2 \text{ or } x \le 6"),
    ("[2,6]", r"\{x : 2 < x < 6\}"),
    (r"(2,3]\cup[5,6)", r"2<x\le 3 \text{ and } 5<x<6"),
    (r"(-\infty,2)\cup(2,\infty)", r"\mathbb{R}"),
    (r"3\pm\sqrt5", r"3+\sqrt5"),
    (r"3\pm\sqrt5", r"\sqrt5\pm3"),
    (r"(3,-2),(-3,2)", r"(\pm3,\pm2)"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_one_answer(gold, answer):
    assert grade_one(f"\\boxed{{{answer}}}", gold)["correct"]


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_other_answers(gold, answer):
    assert not grade_one(f"\\boxed{{{answer}}}", gold)["correct"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3+2", ["3+2"]),
        (r"\pm 3", ["3", "-3"]),
        (r"a\pm b\mp c", ["a+b-c", "a-b+c"]),
        (r"\pm 1\pm 2", ["1+2", "1-2", "-1+2", "-1-2"]),
    ],
)
def test_both_signs(text, values):
    assert both_signs(text) == values
