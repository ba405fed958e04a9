"""Whether an answer equals the gold one: exactly where we can say, by math-verify elsewhere."""

import re
from fractions import Fraction

from math_verify import verify

from eval.answers import sequences
from eval.answers.bases import same_numeral
from eval.answers.choices import letters, option, options
from eval.answers.equations import (
    contradicts,
    nearly,
    one_constant,
    ordered,
    same_residue,
    unassigned,
)
from eval.answers.moments import same_moment
from eval.answers.numbers import is_number, near, number, same_function, same_number, same_value
from eval.answers.quantities import Quantity, quantity, same_compound
from eval.answers.reading import in_radians, read_answer
from eval.answers.spelling import spelled
from eval.answers.units import unit
from eval.answers.words import said

ASKS_PERCENT = re.compile(
    r"(?:\bwhat|\bwhich|\bhow (?:many|much)|\bfind|\bexpress|\bdetermine|\bcomput|\bcalculat|\bgive"
    r"|\bwrite|\bas an?|\bin)\b[^.?!]{0,80}?(?<!\d )(?<!\d)\bpercent(?:age)?s?\b"
    r"|(?<!\d )(?<!\d)\bpercent(?:age)?s?\b[^.?!]*\?|\bin %|\(%\)|\(in %\)",
    re.IGNORECASE,
)
SPACES = re.compile(r"(?<![\w])\s+|\s+(?![\w])")  # that part nothing
SCRIPT = re.compile(r"([_^])\{(\w)\}")
RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")
TO = re.compile(r"\s*(?:\\text\s*\{\s*to\s*\}|\bto\b)\s*")
ARTICLE = re.compile(r"^(?:an?|the) ")
PLAIN_WORDS = re.compile(r"[A-Za-z][A-Za-z .'-]*")
PROSE_WORDS = 12  # in a gold answer that has no mark: a solution, not an answer
HUNDREDTH = Fraction(1, 100)


def readable(gold: str) -> bool:
    """Tell whether a gold answer says anything: not empty, and no solution in prose."""
    text = re.sub(r"\\text\s*\{[^{}]*\}", "", gold)
    if len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)) > PROSE_WORDS:
        return False
    return bool(spelled(gold).strip("$ \\{}"))


def same_answer(gold: str, answer: str, question: str = "") -> bool:
    """Tell whether an answer is the gold one.

    question: what was asked, which says whether a percentage or another base was asked for.
    """
    return _same(in_radians(spelled(gold)), in_radians(spelled(answer)), question)


def _same(gold: str, answer: str, question: str, depth: int = 0) -> bool:
    if not gold or not answer:
        return False
    if gold == answer or _bare(gold) == _bare(answer):
        return True
    if not contradicts(gold) and contradicts(answer):
        return False
    gold, answer = unassigned(gold, answer)
    answer = one_constant(gold, answer)
    if (sides := nearly(answer)) and not nearly(gold):
        return _close_by(sides) and any(_same(gold, side, question, depth) for side in sides)
    if (chosen := _same_option(gold, answer, question)) is not None:
        return chosen
    if (numeral := same_numeral(gold, answer, question)) is not None:
        return numeral
    if (moment := same_moment(gold, answer)) is not None:
        return moment
    if (words := _same_words(gold, answer)) is not None:
        return words
    if (residue := same_residue(gold, answer)) is not None:
        return residue
    if (ratio := _same_ratio(gold, answer)) is not None:
        return ratio
    if sequences.has_dots(gold) or sequences.has_dots(answer):
        return _same_dots(gold, answer, question)
    if depth < 3 and (listed := _same_entries(gold, answer, question, depth)) is not None:
        return listed
    if (together := same_compound(gold, answer)) is not None:
        return together
    if number(gold) and (only := said(answer)):
        answer = only
    expected = quantity(gold)
    bare = number(gold) is not None or expected.unit is not None
    return _same_quantity(expected, quantity(answer, letters=bare), question)


def _bare(text: str) -> str:
    """Return an answer without the spaces and braces that mean nothing."""
    return SCRIPT.sub(r"\1\2", SPACES.sub("", text))


def _same_option(gold: str, answer: str, question: str) -> bool | None:
    expected, found = options(gold), options(answer)
    if expected or found:
        return (expected or letters(gold)) == (found or letters(answer))
    wanted, given = option(gold), option(answer)
    if wanted and given:
        return wanted.letter == given.letter
    if given and given.content:
        return _same(gold, given.content, question)
    if wanted and wanted.content:
        return _same(wanted.content, answer, question)
    return None


def _same_words(gold: str, answer: str) -> bool | None:
    """Compare what is in words alone; None where math-verify may know better."""
    bare = [re.sub(r"\\text\s*\{([^{}]*)\}|\\ ", r"\1 ", text).strip() for text in (gold, answer)]
    if not all(PLAIN_WORDS.fullmatch(text) and len(text) > 1 for text in bare):
        return None
    lower = (" ".join(text.lower().replace(".", " ").split()) for text in bare)
    one, other = (ARTICLE.sub("", text) for text in lower)
    return True if one == other or one.replace(" ", "") == other.replace(" ", "") else None


def _same_ratio(gold: str, answer: str) -> bool | None:
    """Compare ratios of several numbers, as `1:2:3`; None for others."""
    if not RATIO.fullmatch(gold) or not RATIO.fullmatch(answer := TO.sub(":", answer)):
        return None
    one, other = ([Fraction(part) for part in text.split(":")] for text in (gold, answer))
    if len(one) != len(other):
        return False
    return all(a * other[0] == b * one[0] for a, b in zip(one, other, strict=True))


def _close_by(sides: list[str]) -> bool:
    """Tell whether what is said to be nearly the same is, as far as it is numbers."""
    values = [read_answer(side)[0] for side in sides if read_answer(side)]
    numbers = [value.evalf() for value in values if is_number(value)]
    return all(near(numbers[0], value) for value in numbers[1:])


def _same_dots(gold: str, answer: str, question: str) -> bool:
    full = [sequences.written_out(text) or text for text in (gold, answer)]
    if not any(map(sequences.has_dots, full)):
        return _same(full[0], full[1], question)
    one, other = map(sequences.dotted, full)
    if one is None or other is None:
        return re.sub(r"\s|[{}]", "", gold) == re.sub(r"\s|[{}]", "", answer)
    listed = sequences.entries(gold)
    turned = other[1][::-1], other[0][::-1]
    orders = [other] if listed is not None and listed.ordered else [other, turned]
    return any(_same_terms(one, order, question) for order in orders)


def _same_terms(
    one: tuple[list[str], list[str]], other: tuple[list[str], list[str]], question: str
) -> bool:
    """Compare the terms before and after the dots, of which one side may show one more."""
    begins = list(zip(one[0], other[0], strict=False))
    ends = list(zip(one[1][::-1], other[1][::-1], strict=False))
    if bool(one[1]) != bool(other[1]) or not begins:
        return False
    if abs(len(one[0]) - len(other[0])) > 1 or abs(len(one[1]) - len(other[1])) > 1:
        return False
    return all(_same(a, b, question) for a, b in [*begins, *ends]) and _goes_on(one[0], other[0])


def _goes_on(one: list[str], other: list[str]) -> bool:
    """Tell whether the longer of two beginnings goes on as the shorter began."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) == len(longer) or len(shorter) < 2:
        return True
    values = [number(term) for term in longer]
    if None in values:
        return True
    terms = [n.value for n in values]  # type: ignore[union-attr]
    step = terms[1] - terms[0]
    by_steps = terms[-1] - terms[-2] == step
    return by_steps or bool(terms[0] and terms[-1] * terms[0] == terms[-2] * terms[1])


def _same_entries(gold: str, answer: str, question: str, depth: int) -> bool | None:
    """Compare lists and matrices of one shape entry by entry; None for others."""
    gold, answer = sequences.as_vector(gold, answer), sequences.as_vector(answer, gold)
    one, other = sequences.matrix(gold), sequences.matrix(answer)
    if one and other:
        if [len(row) for row in one] != [len(row) for row in other]:
            return False
        pairs = zip(sum(one, []), sum(other, []), strict=True)  # noqa: RUF017
        return all(_same(spelled(a), spelled(b), question, depth + 1) for a, b in pairs)
    expected, found = sequences.entries(gold), sequences.entries(answer)
    if expected is None or found is None:
        return None
    named = answer if expected.ordered else gold
    if expected.ordered != found.ordered and (pair := ordered(named)):
        sides = (gold, pair) if expected.ordered else (pair, answer)
        return _same_entries(*sides, question, depth)
    most = sequences.MOST if expected.ordered else sequences.MOST_UNORDERED
    if len(expected.entries) != len(found.entries) or len(found.entries) > most:
        return None
    if expected[:2] != found[:2] and (expected.ordered or found.ordered):
        return None
    wanted = [spelled(entry) for entry in expected.entries]
    given = [spelled(entry) for entry in found.entries]
    if expected.ordered:
        pairs = zip(wanted, given, strict=True)
        return all(_same(a, b, question, depth + 1) for a, b in pairs)
    return _same_in_any_order(wanted, given, question, depth)


def _same_in_any_order(gold: list[str], answer: list[str], question: str, depth: int) -> bool:
    left = list(answer)
    for entry in sorted(gold, key=lambda entry: entry not in answer):
        if entry in left:
            left.remove(entry)
            continue
        found = next((o for o in left if _same(entry, o, question, depth + 1)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _same_quantity(gold: Quantity, answer: Quantity, question: str) -> bool:
    if gold.percent and not answer.percent:
        return _same_value(gold, answer) or _same_value(gold, answer, HUNDREDTH)
    if answer.percent and not gold.percent:
        asked = bool(ASKS_PERCENT.search(question))
        return _same_value(gold, answer, 1 / HUNDREDTH) or (asked and _same_value(gold, answer))
    pounds = {gold.unit, answer.unit} == {unit("£"), unit("lb")}  # in words one cannot tell
    if gold.unit and answer.unit and gold.unit != answer.unit and not pounds:
        if gold.unit.dimension == answer.unit.dimension:
            return _same_value(gold, answer, gold.unit.size / answer.unit.size)
        return _same_angle(gold, answer) or _same_angle(answer, gold)
    return _same_value(gold, answer) or _same_angle(gold, answer) or _same_angle(answer, gold)


def _same_angle(one: Quantity, other: Quantity) -> bool:
    """Compare degrees with radians."""
    if one.unit != unit("degrees") or "\\pi" in one.number:
        return False
    if other.unit != unit("radians") and (other.unit or "\\pi" not in other.number):
        return False
    in_radians = Quantity(f"\\frac{{\\pi}}{{180}}\\cdot({one.number})")
    return _same_value(in_radians, other)


def _same_value(gold: Quantity, answer: Quantity, times: Fraction = Fraction(1)) -> bool:
    """Compare the gold number, `times` so much, with the answer's."""
    expected, found = number(gold.number), number(answer.number)
    if expected and found:
        return same_number(expected._replace(value=expected.value * times), found)
    text = gold.number
    if times != 1:
        text = f"\\frac{{{times.numerator}}}{{{times.denominator}}}\\cdot({text})"
    one, other = read_answer(text), read_answer(answer.number)
    if not one or not other:
        return False
    values = one[0], other[0]
    unread = any(isinstance(value, str) for value in values)
    if not unread and (same := same_value(*values)) is not None:
        return same
    # The gold answer first: not symmetric.
    if not verify(one, other, allow_set_relation_comp=True, timeout_seconds=None):
        return False
    return unread or same_function(*values) is not False
