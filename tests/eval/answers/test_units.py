"""What units measure: the same in other names, thousands and thousandths, and products."""

import pytest

from eval.answers.units import unit
from eval.grading_worker import grade_one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\text{ N}\cdot\text{m}", "J"),
        ("kg m/s^2", "N"),
        ("W s", "J"),
        ("V A", "W"),
        (r"\text{k}\Omega", "kohm"),
        (r"\mu\text{m}", "um"),
        ("rad/s", r"s^{-1}"),
        ("ms^{-2}", "m/s^2"),
        ("m/s/s", "meters per second squared"),
        ("degrees Celsius", r"^\circ\text{C}"),
        ("mL", r"\text{cm}^3"),
    ],
)
def test_one_unit(one, other):
    if other == "kohm":
        other = r"k\Omega"
    assert unit(one) == unit(other) is not None


@pytest.mark.parametrize(
    ("small", "large", "times"),
    [("mV", "V", 1000), ("W h", "J", 1), ("kHz", "GHz", 10**6), ("J", "kWh", 3600000),
     ("erg", "J", 10**7), ("pF", "F", 10**12)],
)  # fmt: skip
def test_how_many_times_another(small, large, times):
    one, other = unit(small), unit(large)
    assert one is not None
    assert other is not None
    if small == "W h":
        assert one.size == 3600 * other.size
    else:
        assert (one.dimension, one.size * times) == (other.dimension, other.size)


@pytest.mark.parametrize("text", ["", "apples", "per", "kN x", "/", "sq", "°X"])
def test_what_is_none(text):
    assert unit(text) is None


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        (r"30 \text{ N}\cdot\text{m}", r"30\,\text{N·m}", True),
        (r"30 \text{ N}\cdot\text{m}", r"30 \text{ N/m}", False),
        (r"30 \text{ J}", r"30 \text{ N m}", True),
        (r"30 \text{ J}", r"30 \text{ N}", False),
        (r"7 \text{ V}", r"7 \text{ mV}", False),
        (r"7 \text{ V}", r"7000 \text{ mV}", True),
        (r"7 \text{ m/s}^2", r"7\,\frac{\text{m}}{\text{s}^2}", True),
        (r"7 \text{ m/s}^2", r"7\frac{m}{s^2}", True),
        (r"7 \text{ m/s}^2", r"7\frac{\text{m}}{\text{s}}", False),
        (r"7 \text{ m/s}", r"7 \text{ ms}^{-1}", True),
        (r"7 \text{ m}", "7m", True),
        ("7 V", "7", False),
        (r"7\frac{m}{s}", "7", False),
        (r"2.5 \text{ hours}", "2h 30m", True),
        (r"20^\circ\text{C}", r"20 \text{ degrees Celsius}", True),
        (r"20^\circ\text{C}", r"20 \text{ degrees Fahrenheit}", False),
        (r"20^\circ", "20'", False),
        (r"\$7.50", r"US\$7.50", True),
        ("7", r"7 \text{ or more}", False),
        ("7", r"7 \text{ if } n \text{ is even}", False),
        ("7", r"7 \text{ cats and dogs}", True),
    ],
)
def test_quantities_with_units(gold, answer, correct):
    assert grade_one(f"\\boxed{{{answer}}}", gold)["correct"] is correct
