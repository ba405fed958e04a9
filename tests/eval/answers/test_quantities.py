"""Quantities: units, several of them, money, percentages, degrees, times and dates."""

import pytest

from eval.grading_worker import grade_one

SAME = [
    # Several units.
    (r"2 \text{ hours } 45 \text{ minutes}", r"165 \text{ minutes}"),
    (r"2 \text{ hours } 45 \text{ minutes}", "2h 45min"),
    (r"2 \text{ hours } 45 \text{ minutes}", "2 hours and 45 minutes"),
    (r"2 \text{ hours } 45 \text{ minutes}", r"2\frac34 \text{ hours}"),
    (r"2 \text{ hours and } 45 \text{ minutes}", r"2 \text{ hours, } 45 \text{ minutes}"),
    (r"2 \text{ hours } 45 \text{ minutes}", "2:45"),
    ("165", r"2 \text{ hours } 45 \text{ minutes}"),
    ("6 feet 2 inches", r"74 \text{ in}"),
    ("6 feet 2 inches", "6'2''"),
    (r"30^\circ 15'", r"30.25^\circ"),
    ("3 m 5 cm", r"3.05 \text{ m}"),
    ("4 dollars and 25 cents", r"\$4.25"),
    # One.
    (r"7\text{ cm}", r"70 \text{ mm}"),
    (r"3 \text{ km}", r"3000 \text{ m}"),
    (r"36 \text{ km/h}", r"10 \text{ m/s}"),
    ("50 mph", r"50 \text{ miles per hour}"),
    (r"2 \text{ m}^2", r"2 \text{ square meters}"),
    ("7", r"7 \text{ cm}"),
    ("7", "7cm"),
    ("7", "7m"),
    ("7 marbles", "7"),
    ("7", r"7 \text{ blue marbles}"),
    # Money.
    ("24", "24 dollars"),
    ("24", "£24"),
    ("24", r"24\,€"),
    ("24", r"\text{\$}24"),
    (r"\$0.75", "75 cents"),
    # Degrees.
    ("60", "60°"),
    (r"60^\circ", "60"),
    ("60°", "60"),
    ("60", r"60\degree"),
    ("60", r"60^{\text{o}}"),
    (r"60^\circ", r"\frac{\pi}{3}"),
    (r"\frac{\pi}{3}", r"60^\circ"),
    (r"\frac12", r"\cos 60^\circ"),
    (r"\frac{\sqrt2}{2}", r"\sin(45°)"),
    ("1", r"\tan 45^{\circ}"),
    ("30, 60", r"30^\circ, 60^\circ"),
    # Percentages.
    ("1/8", r"12.5\%"),
    (r"12.5\%", "12.5"),
    (r"12.5\%", "0.125"),
    (r"12.5\%", r"\frac18"),
    (r"12.5\%", "12.5 percent"),
    (r"\frac13", r"33\frac13\%"),
    (r"10\%, 20\%", r"20\%, 10\%"),
    # Times and dates.
    (r"9:15 \text{ a.m.}", "9:15 AM"),
    (r"9:15 \text{ p.m.}", "21:15"),
    (r"9:15 \text{ p.m.}", "9:15"),
    (r"9 \text{ p.m.}", "9:00 pm"),
    ("noon", "12:00 PM"),
    ("2023-02-07", "February 7, 2023"),
    (r"\text{July 4}", r"4 \text{ July}"),
    (r"\text{July 4}", r"\text{July } 4^{\text{th}}"),
]
DIFFERENT = [
    (r"2 \text{ hours } 45 \text{ minutes}", r"2 \text{ hours } 40 \text{ minutes}"),
    (r"2 \text{ hours } 45 \text{ minutes}", "2"),
    (r"2 \text{ hours } 45 \text{ minutes}", r"2 \text{ hours}"),
    (r"2 \text{ hours } 45 \text{ minutes}", "45"),
    ("2", r"2 \text{ hours } 45 \text{ minutes}"),
    ("6 feet 2 inches", "6 feet 3 inches"),
    (r"7\text{ cm}", r"7 \text{ m}"),
    (r"7\text{ kg}", r"7 \text{ g}"),
    (r"7\text{ cm}^2", r"7 \text{ cm}"),
    (r"2\text{ hours}", r"2\text{ minutes}"),
    ("50 mph", "50 km/h"),
    (r"\$24", "€24"),
    ("0.75", "75 cents"),
    ("5t", "5"),
    ("5t", "5s"),
    ("5c", "5d"),
    (r"60^\circ", r"61^\circ"),
    (r"60^\circ", r"\frac{\pi}{4}"),
    (r"\frac12", r"\sin 60^\circ"),
    ("1/8", r"0.125\%"),
    ("12.5", r"12.5\%"),
    (r"12.5\%", r"0.125\%"),
    (r"9:15 \text{ a.m.}", r"9:15 \text{ p.m.}"),
    (r"9:15 \text{ p.m.}", "9:20"),
    ("2023-02-07", "2014"),
    ("2023-02-07", "February 8, 2023"),
    (r"\text{July 4}", r"\text{July 5}"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_one_quantity(gold, answer):
    assert grade_one(f"\\boxed{{{answer}}}", gold)["correct"]


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_other_quantities(gold, answer):
    assert not grade_one(f"\\boxed{{{answer}}}", gold)["correct"]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("What percentage of the marbles is red?", True),
        ("What percent is that?", True),
        ("Express your answer as a percentage.", True),
        ("By how many percent did it rise?", True),
        ("Give the share (in %).", True),
        ("After a discount of 20 percent, what does it cost?", False),
        ("The price rises by 20%. How much is it then?", False),
        ("How many marbles are red?", False),
        ("", False),
    ],
)
def test_a_percentage_is_its_number_where_one_is_asked_for(question, asked):
    assert grade_one("\\boxed{35\\%}", "35", question=question)["correct"] is asked
