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
        "mm millimeter millimeters millimetre millimetres": "1/1000",
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
    "radians": {"rad radian radians": "1"},  # counts for nothing beside others
    "dollars": {"$ dollar dollars USD": "1", "cent cents": "1/100"},
    "euros": {"€ euro euros EUR": "1"},
    "pounds sterling": {"£ GBP quid": "1", "pence": "1/100"},
    "yen": {"¥ yen JPY": "1"},
    "rupees": {"₹ rupee rupees Rs INR": "1"},
    "dozens": {"dozen dozens": "1"},
    "celsius": {"°C °celsius celsius": "1"},
    "fahrenheit": {"°F °fahrenheit fahrenheit": "1"},
    "kelvin": {"K kelvin kelvins": "1"},
    "current": {"A amp amps ampere amperes": "1"},
    "amount": {"mol mole moles": "1"},
}  # fmt: skip
VOLUME = (("length", 3),)  # a litre is a length cubed
NAMED = {
    name: Unit(VOLUME if kind == "volume" else ((kind, 1),), Fraction(size))
    for kind, units in KINDS.items()
    for names, size in units.items()
    for name in names.split()
}
# In terms of these; the first name of each, as those of the basic ones, has prefixes: mV, GHz.
DERIVED = {
    "N newton newtons": "kg m/s^2", "J joule joules": "kg m^2/s^2", "W watt watts": "kg m^2/s^3",
    "Pa pascal pascals": "kg/m s^2", "Hz hertz": "1/s", "C coulomb coulombs": "amp s",
    "V volt volts": "kg m^2/s^3 amp", "Ω ohm ohms": "kg m^2/s^3 amp^2",
    "F farad farads": "amp^2 s^4/kg m^2", "H henry henries": "kg m^2/s^2 amp^2",
    "T tesla teslas": "kg/s^2 amp", "Wb weber webers": "kg m^2/s^2 amp",
    "eV": "1.602176634e-19 kg m^2/s^2", "cal calorie calories": "4.184 kg m^2/s^2",
    "bar bars": "100000 kg/m s^2", "Wh": "3600 kg m^2/s^2", "pc parsec parsecs": "3.0857e16 m",
    "mph": "mi/h", "kph kmh kmph": "km/h", "fps": "ft/s", "rpm": "1/min",
    "acre acres": "4840 yd^2", "hectare hectares": "10000 m^2", "atm": "101325 kg/m s^2",
    "dyne dynes": "0.00001 kg m/s^2", "erg ergs": "1e-7 kg m^2/s^2",
}  # fmt: skip
BASIC = ("m", "g", "s", "A", "K", "mol", "L", "l", "N", "J", "W", "Pa", "Hz", "C", "V", "Ω", "F",
         "H", "T", "Wb", "eV", "cal", "bar", "Wh", "pc")  # fmt: skip
PREFIXES = {"p": -12, "n": -9, "µ": -6, "u": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9,
            "T": 12}  # fmt: skip
JOINED = re.compile(r"\bms(?=\s*\^\s*\{?\s*-)")  # ms^{-1} is m/s
POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
FACTOR = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?: |(?=/))")
PART = re.compile(
    r"\s*(?P<power>square|sq\.?|cubic|cu\.?)?\s*"
    r"(?P<name>°\s*(?:[CF](?![A-Za-z])|[Cc]elsius|[Ff]ahrenheit)|[A-Za-zµΩ]+|[$€£¥₹°′″])\.?"
    r"(?:\s*\^\s*\{?\s*(?P<exponent>-?\d)\s*\}?|\s*(?P<word>squared|cubed))?\s*",
)


def unit(text: str) -> Unit | None:
    """Return the unit that a text such as `square feet`, `km/h` or `m s^{-1}` names, else None."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\\(?:cdot|times)(?![A-Za-z])|\*", " ", text.replace("^\\circ", "°"))
    text = re.sub(r"\\mu(?![A-Za-z])\s*", "µ", text)
    text = re.sub(r"\\Omega(?![A-Za-z])", "Ω", text).strip(" .")
    text = re.sub(r"\b([pnmkMGT])\s+(?=Ω)", r"\1", text)
    text = re.sub(r"(?:degrees?|°)\s+(?=celsius|fahrenheit|C\b|F\b)", "°", text, flags=re.I)
    return _read(JOINED.sub("m s", text))


def _read(text: str) -> Unit | None:
    """Return the unit that plain text names: its parts, those after a stroke divided by."""
    factor = FACTOR.match(text)
    size, text = (Fraction(factor[1]), text[factor.end() :]) if factor else (Fraction(1), text)
    powers: Counter[str] = Counter()
    for place, piece in enumerate(re.split(r"/|\bper\b", text)):
        at, sign = 0, -1 if place else 1
        while at < len(piece):
            found = PART.match(piece, at)
            named = NAMED.get(re.sub(r"\s", "", found["name"])) if found else None
            if found and named is None and len(found["name"]) > 2:
                named = NAMED.get(found["name"].lower())
            if found is None or named is None:
                return None
            power = POWERS.get((found["power"] or found["word"] or "").strip(".").lower(), 1)
            power = sign * int(found["exponent"] or power)
            for kind, exponent in named.dimension:
                powers[kind] += exponent * power
            size *= named.size**power
            at = found.end()
        if not piece.strip() and not (factor and place == 0):
            return None
    if len(powers) > 1:
        powers.pop("radians", None)
    return Unit(tuple(sorted((kind, n) for kind, n in powers.items() if n)), size)


def _derive() -> None:
    """Add to the units those that are made of others, and their thousands and thousandths."""
    for names, meaning in DERIVED.items():
        made = _read(meaning)
        assert made is not None
        NAMED.update(dict.fromkeys(names.split(), made))
    for name in BASIC:
        for prefix, power in PREFIXES.items():
            size = NAMED[name].size * Fraction(10) ** power
            NAMED.setdefault(prefix + name, NAMED[name]._replace(size=size))


_derive()
