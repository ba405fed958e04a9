"""Units of measurement: what they measure, and how many of a basic one they are."""

import re
from collections import Counter
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: powers of what it measures, and its size in basic units of that."""

    dimension: tuple[tuple[str, int], ...]
    size: Fraction


# What is measured: the names of each unit, and its size.
KINDS: dict[str, dict[str, str]] = {
    "time": {
        "ms millisecond milliseconds": "1/1000", "s sec secs second seconds": "1",
        "min mins minute minutes": "60", "h hr hrs hour hours": "3600", "day days": "86400",
        "week weeks wk wks": "604800",
    },
    "months": {"month months": "1", "yr yrs year years": "12", "decade decades": "120",
               "century centuries": "1200"},
    "length": {
        "nm": "1/1000000000", "mm millimeter millimeters millimetre millimetres": "1/1000",
        "cm centimeter centimeters centimetre centimetres": "1/100",
        "dm decimeter decimeters": "1/10", "m meter meters metre metres": "1",
        "km kilometer kilometers kilometre kilometres": "1000",
        "in inch inches": "0.0254", "ft foot feet": "0.3048", "yd yds yard yards": "0.9144",
        "mi mile miles": "1609.344",
    },
    "mass": {
        "mg milligram milligrams": "1/1000", "g gram grams": "1",
        "kg kgs kilogram kilograms kilo kilos": "1000", "tonne tonnes": "1000000",
        "oz ounce ounces": "28.349523125", "lb lbs pound pounds": "453.59237",
    },
    "volume": {
        "ml mL milliliter milliliters millilitre millilitres": "1/1000000",
        "cl cL centiliter centiliters": "1/100000", "l L liter liters litre litres": "1/1000",
        "cup cups": "0.0002365882365", "pint pints": "0.000473176473",
        "quart quarts": "0.000946352946", "gal gallon gallons": "0.003785411784",
    },
    "angle": {"degree degrees deg °": "1", "arcminute arcminutes ′": "1/60",
              "arcsecond arcseconds ″": "1/3600"},
    "radians": {"rad radian radians": "1"},
    "dollars": {"$ dollar dollars USD": "1", "cent cents": "1/100"},
    "euros": {"€ euro euros EUR": "1"},
    "pounds sterling": {"£ GBP quid": "1", "pence": "1/100"},
    "yen": {"¥ yen JPY": "1"},
    "rupees": {"₹ rupee rupees Rs INR": "1"},
    "dozens": {"dozen dozens": "1"},
    "celsius": {"°C celsius Celsius": "1"},
    "fahrenheit": {"°F fahrenheit Fahrenheit": "1"},
    "kelvin": {"K kelvin kelvins": "1"},
    "force": {"N newton newtons": "1", "kN": "1000"},
    "energy": {"J joule joules": "1", "kJ": "1000", "MJ": "1000000"},
    "power": {"W watt watts": "1", "kW": "1000", "MW": "1000000"},
    "pressure": {"Pa pascal pascals": "1", "kPa": "1000"},
    "frequency": {"Hz hertz": "1", "kHz": "1000", "MHz": "1000000", "GHz": "1000000000"},
}  # fmt: skip
NAMED = {
    name: (kind, Fraction(size))
    for kind, units in KINDS.items()
    for names, size in units.items()
    for name in names.split()
}
WHOLE = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "fps": "ft/s",
         "acre": "4840 yd^2", "acres": "4840 yd^2", "hectare": "10000 m^2",
         "hectares": "10000 m^2"}  # fmt: skip
POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
PART = re.compile(
    r"\s*(?P<power>square|sq\.?|cubic|cu\.?)?\s*(?P<name>°\s*[CF](?![A-Za-z])|[A-Za-z]+|[$€£¥₹°′″])\.?"
    r"(?:\s*\^\s*\{?\s*(?P<exponent>-?\d)\s*\}?|\s*(?P<word>squared|cubed))?\s*",
)


def unit(text: str) -> Unit | None:
    """Return the unit that a text such as `square feet`, `km/h` or `m s^{-1}` names, else None."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip(" .")
    text = re.sub(r"\\(?:cdot|times)(?![A-Za-z])|\*", " ", text.replace("^\\circ", "°"))
    text = re.sub(r"\\%", "%", text)
    if text in WHOLE:
        text = WHOLE[text]
    factor = re.match(r"\d+ ", text)
    size, text = (Fraction(factor[0]), text[factor.end() :]) if factor else (Fraction(1), text)
    powers: Counter[str] = Counter()
    for place, piece in enumerate(re.split(r"/|\bper\b", text)):
        at, sign = 0, -1 if place else 1
        while at < len(piece):
            found = PART.match(piece, at)
            if not found or found.end() == at:
                return None
            named = NAMED.get(re.sub(r"\s", "", found["name"]))
            if named is None:
                named = NAMED.get(found["name"].lower()) if len(found["name"]) > 2 else None
            if named is None:
                return None
            power = POWERS.get((found["power"] or found["word"] or "").strip(".").lower(), 1)
            power = sign * int(found["exponent"] or power)
            powers[named[0]] += power
            size *= named[1] ** power
            at = found.end()
        if not piece.strip():
            return None
    if "volume" in powers:  # a litre is a length cubed
        powers["length"] += 3 * powers.pop("volume")
    return Unit(tuple(sorted((kind, n) for kind, n in powers.items() if n)), size)
