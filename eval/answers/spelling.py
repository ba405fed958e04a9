"""One spelling for an answer: plain LaTeX for Unicode, spaces, digit groups and mixed numbers."""

import math
import re
import unicodedata

from eval.answers.words import in_signs

SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ", "∗": "*",
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "±": r"\pm ", "∓": r"\mp ", "∞": r"\infty ", "∅": r"\emptyset ", "⌀": r"\emptyset ",
    "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∖": r"\setminus ", "→": r"\to ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "ℂ": r"\mathbb{C}", "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ",
    "℃": r"^\circ C", "℉": r"^\circ F", "∠": r"\angle ", "•": r"\cdot ", "、": ",",
    "∴": r"\therefore ", "∛": "√[3]", "∜": "√[4]",
    "′": "'", "″": "''", "’": "'", "‘": "'", "“": "", "”": "", "…": r"\ldots ", "⋯": r"\ldots ",
    "⁄": "/", "∕": "/", "∶": ":", "，": ",", "⟨": r"\langle ", "⟩": r"\rangle ", "¢": " cents",
    "π": r"\pi ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ",
    "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ", "σ": r"\sigma ", "φ": r"\phi ",
    "ω": r"\omega ",
}  # fmt: skip
SCRIPTS = {
    "^": ("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n"),
    "_": ("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n"),
}
ROOT = re.compile(r"√(\[\d\])?\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")
RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right)\s*\.", ""),
        (r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\s*", ""),
        (r"\\(?:displaystyle|textstyle|limits|bf|rm|it|boldsymbol|bm)(?![A-Za-z])\s*", ""),
        (r"\\(?:tiny|small|large|Large|LARGE|huge|Huge|checkmark)(?![A-Za-z])\s*", ""),
        (r"\^\s*\{\s*\\prime\s*\\prime\s*\}", "''"),
        (r"\^\s*\{?\s*\\prime\s*\}?", "'"),
        (r"\\(?:textcolor|color|hspace|vspace|phantom)\*?\s*\{[^{}]*\}", ""),
        (r"\\(?:textbf|textit|textrm|textnormal|textsf|texttt|textup|emph|mbox|hbox|mathrm|mathit"
         r"|mathsf|mathtt|mathbf)\s*(?=\{)", r"\\text"),
        (r"\\(?:text|math)dollar(?![A-Za-z])", "$"),
        (r"\\text\s*\{\s*([-+\d.,/$%\\]+)\s*\}", r"\1"),
        (r"^\s*\\text\s*\{([^{}]*\d[^{}]*)\}\s*$", r"\1"),
        (r"(\\text\s*\{[^{}]*\^)\{\s*(-?\d)\s*\}(?=[^{}]*\})", r"\1\2"),
        (r"(?<=\d)(?:\\ |\s)*\(\s*\\text\s*\{[^{}\d]*\}\s*\)\s*$", ""),  # said again in words
        (r"\\(?:vec|hat|widehat|text)\s*\{\s*(?:\\text\s*\{\s*)?([ijke])\s*\}?\s*\}", r"\1"),
        (r"\\(d?dot|vec|hat|bar|tilde)(?![A-Za-z])\s*([A-Za-z])(?![A-Za-z])", r"\\\1{\2}"),
        (r"\\sqrt\s*(\[[^\]]*\])?\s*(\d)", r"\\sqrt\1{\2}"),
        (r"\\mathbb\s*([A-Z])(?![A-Za-z])", r"\\mathbb{\1}"),
        (r"\\mathcal\s*\{?\s*([A-Z])\s*\}?", r"\1"),
        (r"\(?\s*\\p?mod(?![A-Za-z])\s*\{?\s*(\w+)\s*\}?\s*\)?"
         r"|\(\s*(?:\\text\s*\{\s*)?mod\s*\}?\s*(\w+)\s*\)", r" \\pmod{\1\2}"),
        (r"(?:,|\\text\s*\{\s*,?\s*(?:where|for|with)(?: any)?\s*\})\s*\(?[a-z]\s*\\in\s*"
         r"\\mathbb\{[ZN]\}\)?\s*$", ""),
        (r"\\text\s*\{\s*(?:all )?(?:the )?real numbers (?:except|other than)(?: for)?\s*\}\s*"
         r"(?:[a-z]\s*=\s*)?([^=]+)$", r"\\mathbb{R}\\setminus \\{\1\\}"),
        (r"\\underline\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:[dtcs]|nice)frac(?![A-Za-z])", r"\\frac"),
        (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*(?=\{)", r"\\frac{\1}"),
        (r"\\frac\s*(\{[^{}]*\})\s*(\d)(?!\d)", r"\\frac\1{\2}"),
        (r"\\(?:varnothing|empty)(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset "),
        (r"^(\s*\d+)\s*(?:\^\s*)?\{?\s*(?:\\text\s*\{\s*)?(?:st|nd|rd|th)\s*\}?\s*\}?\s*$", r"\1"),
        # Sets by a condition, all numbers but some, numbers of choices.
        (r"^\s*\\\{\s*([a-zA-Z])\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?)?\s*(?:\\mid|\\vert|[:|])\s*"
         r"((?=.*(?:[<>]|\\(?:le|ge|ne)))[^=]*[^\\=])\\\}\s*$", r"\2"),
        (r"\\mathbb\s*\{?\s*R\s*\}?\s*(?:-|\\backslash|\\setminus)\s*(?=\\\{)",
         r"\\mathbb{R}\\setminus "),
        (r"(?<![A-Za-z\\])C\((\d+)\s*,\s*(\d+)\)", r"\\binom{\1}{\2}"),
        (r"(?<![\w})\]])(?:\{\s*\})?[\^_]\s*\{?\s*(\d+)\s*\}?\s*C_\s*\{?\s*(\d+)\s*\}?",
         r"\\binom{\1}{\2}"),
        (r"(?<![A-Za-z\\\d])C_\s*\{?\s*(\d+)\s*\}?\s*\^\s*\{?\s*(\d+)\s*\}?", r"\\binom{\1}{\2}"),
        (r"\\log_\s*(?:\{\s*e\s*\}|e)(?![A-Za-z])", r"\\ln "),
        (r"(?<![A-Za-z\\{])(ln|log|exp|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan)"
         r"(?=[\s(\\\d^_])(?! ?[a-z]{2})", r"\\\1"),
        (r"\\langle(?![A-Za-z])", "("),
        (r"\\rangle(?![A-Za-z])", ")"),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\leq(?:slant)?(?![A-Za-z])", r"\\le "),
        (r"\\geq(?:slant)?(?![A-Za-z])", r"\\ge "),
        (r"\\(?:dots[cbmio]?|cdots)(?![A-Za-z])|(?<!\.)\.\.\.(?!\.)", r"\\ldots "),
        (r"\\(?:thinspace|enspace|q?quad|medspace|thickspace)(?![A-Za-z])", " "),
        (r"\\text\{\s*\}|\\!", ""),
        (r"\{\}(?=\^)", ""),
        (r"\{\s*,\s*\}", ",\0"),  # a comma of a number, whatever stands around it
        # Degrees, however they are written.
        (r"\^\s*\{\s*(?:\\circ|\\degree|\\text\{\s*o\s*\}|o)\s*\}", r"^\\circ "),
        (r"\s*\^\s*\\circ(?![A-Za-z])", r"^\\circ "),
        (r"\^\s*(?:\\degree|\\text\{\s*o\s*\}|o(?![A-Za-z]))", r"^\\circ "),
        (r"\\degree(?![A-Za-z])|\\textdegree(?![A-Za-z])", r"^\\circ "),
        # Digit groups: a space of LaTeX, an apostrophe or a LaTeX comma joins digits.
        (r"(?<=\d)(?:\\[,;: ]|~|'|,\0|\u2009|\u202f)\s*(?=\d{3}(?!\d))", ""),
        ("\0", ""),
        (r"(?<!\\)\\[,;: ]|~", " "),
    )
]  # fmt: skip
SPACED_GROUPS = re.compile(
    r"([-+]?\s*(?:\\?\$|[£€¥₹])?\s*\d{1,3}(?: \d{3})+)(?![\d ]*[/\d])(\D.*)?", re.S
)
COMMA_GROUPS = re.compile(r"([^\d(\[{,]*\d{1,3}(?:,\d{3})+)(?!\d)([^,]*)", re.DOTALL)
POINT_GROUPS = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}")
FRENCH = re.compile(r"([\](\[])([^\[\](),;]+)[,;]([^\[\](),;]+)([\[\])])")
DOUBLE_FACTORIAL = re.compile(r"(?<![\d.!])(\d{1,3})!!(?!!)")
POWER_OF_TEN = re.compile(r"(?<![\w.\\])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d{1,4})(?!\w)")
MIXED = re.compile(
    r"(?<![\d.,^_}A-Za-z)])(\d+)\s*(?:\\frac\s*\{(\d+)\}\s*\{(\d+)\}|\\frac\s*(\d)\s*(\d)(?!\d)"
    r"|(?<=\s)(\d+)\s*/\s*(\d+)(?![\d.]))"
)
GOING_ON = re.compile(
    r"((?<![\d.])\d*\.\d{0,20}?)(?:(\d)\2{2,}|(\d{2,12})\3+)\s*\\ldots"  # 0.1666...
)
REPEATING = re.compile(
    r"(?<![\d.])(\d*)\.(\d*)(?:\\(?:overline|bar)\s*\{?(\d+)\}?|\\dot\s*\{?(\d)\}?|\((\d+)\)(?!\d))"
)
ALIGNED = re.compile(
    r"\\begin\s*\{(aligned|align\*?|gathered|split|equation\*?)\}(.*?)\\end\s*\{\1\}", re.DOTALL
)
GOES_ON = re.compile(r"\\\\(?:\[[^\]]*\])?\s*(?=&?\s*(?:[=<>+-]|\\(?:le|ge|approx|times|cdot)))")
LEAD = re.compile(
    r"(?:\\text\s*\{)?\s*(?:(?:so|thus|hence|therefore),?\s+)?(?:it is\b|(?:(?:the|our|my)\s+)?"
    r"(?:(?:final|correct)\s+)?(?:answer|result|value)s?(?:\s+(?:is|are)\b|\s*[:=])"
    r"|(?!option|choice|not\b)[A-Za-z]{2,}(?: [A-Za-z]+){0,3}\s*:(?=[\s}]*(?:[-\d$]|\\\$))"
    r"|(?:the )?year(?=[\s}]*\d)"
    r"|(?:about|approximately|exactly|roughly|around)(?=[\s}$\\]*\d))\s*:?\s*",
    re.IGNORECASE,
)


SENTENCE = re.compile(  # \text{The total is } 5
    r"\\text\s*\{\s*(?![^{}]*\b(?:not|or|if|between|least|most|than|about|either|neither)\b)"
    r"[A-Za-z][A-Za-z ,']*\b(?:is|are|equals|was|were)\s*:?\s*\}(?=[\s$]*[-\d\\(])"
)


def spelled(text: str) -> str:
    """Return an answer in one spelling: the same mathematics, in plain LaTeX."""
    text = ALIGNED.sub(_in_one_line, _ascii(text).replace("**", "").replace("`", ""))
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    text = SENTENCE.sub("", _edges(text), count=1)
    if lead := LEAD.match(text):
        text = text[lead.end() :]
        # The brace that opened before the words closes after them.
        text = text.replace("}", "", 1) if "{" in lead[0] else text
    text = re.sub(r"(?<!\\)\$(?=[^$]*\$)([^$]*)(?<!\\)\$", r"\1", text)  # $...$ within
    if found := SPACED_GROUPS.fullmatch(text):
        text = found[1].replace(" ", "") + (found[2] or "")
    if found := COMMA_GROUPS.fullmatch(text):
        text = found[1].replace(",", "") + found[2]
    if POINT_GROUPS.fullmatch(text):
        text = text.replace(".", "")
    if found := FRENCH.fullmatch(text):  # ]1, 2[
        opening, closing = found[1].replace("]", "("), found[4].replace("[", ")")
        text = f"{opening}{found[2]},{found[3]}{closing}"
    text = DOUBLE_FACTORIAL.sub(_double_factorial, in_signs(text))
    text = POWER_OF_TEN.sub(r"\1\\times 10^{\2}", text)
    text = REPEATING.sub(_repeating, GOING_ON.sub(r"\1\\overline{\2\3}", text))
    text = MIXED.sub(_mixed, text)
    return _edges(re.sub(r"\s+", " ", text))


def _edges(text: str) -> str:
    text = text.strip()
    text = re.sub(
        r"^(?:=|:|\\(?:approx|sim|Rightarrow|implies)(?![A-Za-z])|\\therefore(?![A-Za-z])|\s)+",
        "",
        text,
    )
    text = re.sub(r"(?:[.,;:]|\s|(?<!\\)\\$)+$", "", text)
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opening) and text.endswith(closing):
            text = text[2:-2].strip()
    return text


def _ascii(text: str) -> str:
    out = []
    for at, character in enumerate(text):
        if ord(character) < 128:
            out.append(character)
        elif character in SYMBOLS:
            out.append(SYMBOLS[character])
        elif unicodedata.category(character) == "No" and "⁄" in (
            written := unicodedata.normalize("NFKC", character)
        ):  # ½
            top, _, bottom = written.partition("⁄")
            mixed = at and text[at - 1].isdigit()
            out.append(f"\\frac{{{top}}}{{{bottom}}}" if mixed else f" \\frac{{{top}}}{{{bottom}}}")
        elif script := next((s for s, (high, _) in SCRIPTS.items() if character in high), None):
            high, low = SCRIPTS[script]
            out.append(f"{script}{{{low[high.index(character)]}}}")
        elif character in "£€¥₹√":
            out.append(character)
        elif unicodedata.category(character) == "Cf":
            continue
        elif character in "\u2009\u202f":
            out.append(character)  # of digit groups
        else:
            out.append(unicodedata.normalize("NFKC", character))
    text = "".join(out)
    text = re.sub(r"\}(\^|_)\{(?=[^{}]*\})", lambda found: found[0], text)
    text = _joined_scripts(text)
    return ROOT.sub(lambda at: f"\\sqrt{at[1] or ''}{{{at[2] or at[3] or at[4]}}}", text)


def _joined_scripts(text: str) -> str:
    """Return x^{1}^{2}, as ¹² was written, as x^{12}."""
    before = None
    while before != text:
        before, text = text, re.sub(r"([\^_])\{([\dn+-]+)\}\1\{([\dn+-]+)\}", r"\1{\2\3}", text)
    return text


def _in_one_line(found: re.Match) -> str:
    """Return lines of formulas as a list, where none goes on with the one before it."""
    lines = GOES_ON.sub(" ", found[2].strip().removesuffix("\\\\"))
    return re.sub(r"\\\\(?:\[[^\]]*\])?", ", ", lines).replace("&", " ")


def _mixed(found: re.Match) -> str:
    whole, *parts = [part for part in found.groups() if part]
    top, bottom = int(parts[0]), int(parts[1])
    if not 0 < top < bottom:
        return found[0]
    return f"\\frac{{{int(whole) * bottom + top}}}{{{bottom}}}"


def _repeating(found: re.Match) -> str:
    """Return 0.1\\overline{6} as a fraction."""
    whole, fixed, period = found[1] or "0", found[2], found[3] or found[4] or found[5]
    tens, nines = 10 ** len(fixed), 10 ** len(period) - 1
    top = (int(whole) * tens + int(fixed or 0)) * nines + int(period)
    return f"\\frac{{{top}}}{{{tens * nines}}}"


def _double_factorial(found: re.Match) -> str:
    return str(math.prod(range(int(found[1]), 0, -2)))
