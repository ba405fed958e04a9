"""What a completion gives as its answer: after its thinking, in a box, between tags or in words."""

import re
from typing import NamedTuple

from eval.answers.boxes import BOX, boxed_answer, find_boxes

# How models mark their thinking; harmony's names as they are left without their special tokens.
OPENED = re.compile(
    r"<(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|scratchpad)>|\[THINK\]|◁think▷"
    r"|<\|(?:begin_of_thought|START_THINKING|think)\|>|<unused94>|<\|channel\|?>\s*(?:analysis|thought)",
    re.IGNORECASE,
)
CLOSED = re.compile(
    r"</(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|scratchpad)>|\[/THINK\]|◁/think▷"
    r"|<\|(?:end_of_thought|END_THINKING|/think)\|>|<unused95>|<channel\|>"
    r"|<\|channel\|>final<\|message\|>|assistantfinal",
    re.IGNORECASE,
)
TAG = re.compile(r"<(answer|final_answer|final|solution)>|\[(ANSWER)\]", re.IGNORECASE)
HASHES = re.compile(r"^#{4}(?!#)\s*(?P<rest>[^\n]+)", re.MULTILINE)
ADVERB = (
    r"(?:therefore|thus|then|hence|simply|just|clearly|indeed|exactly|only|also|equal to|given by"
    r"|found to be)"
)
# What a line goes on with: a formula over several lines, or the line itself.
REST = r"(?:\$\$[^$]{1,400}\$\$[^\n]*|\\\[(?s:.){1,400}?\\\][^\n]*|[^\n]+)"
LINE = re.compile(
    r"\b(?:answers?|(?:correct|right|best) (?:option|choice))(?: choice| option)?\b(?:\*\*|__|\})?"
    r"(?:\s*(?:(?:is|are|equals|must be|would be|should be)\b|[:=：])\s*(?:\*\*|__)?\s*[:：]?\s*"
    rf"(?:{ADVERB}\s+)?|[ :]*\n\s*)(?=(?P<rest>{REST}))",
    re.IGNORECASE,
)
CHINESE = re.compile(rf"答案(?:是|为|：|:|\s)*(?=(?P<rest>{REST}))")
DELIMITED = re.compile(
    r"(?:\*\*|__)?(?:\$\$(?P<a>.+?)\$\$|\$(?P<b>[^$]+?)\$(?!\d)|\\\((?P<c>.+?)\\\)|\\\[(?P<d>.+?)\\\])",
    re.DOTALL,
)
BOLD = re.compile(r"(?P<a>[^*]+)\*\*")
SENTENCE_END = re.compile(r"\.(?=\s)|。|\.$|(?<=\S)(?:\*\*|__)")
AND_SO_ON = re.compile(
    r"[,;]?\s+(?:because|since|which|so|as|when|where|if|but|that|for|i\.e|namely)\b|\. I hope"
)
GOES_ON = re.compile(r",\s*(?!and\b|or\b)[A-Za-z]{2,}|\bso\b")
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
SMALL_WORDS = {"and", "or", "text", "sqrt", "pi", "dollars", "percent", "degrees"}
CHOSEN = re.compile(
    r"\b(?:option|choice)\s+(?P<rest>\(?[A-J]\)?)(?=\s+is\s+(?:the\s+)?(?:correct|right|answer))",
    re.IGNORECASE,
)
MOST_TAGS = 20
MOST_WORDS = 3  # of an answer without a box: more are a sentence, which math-verify reads
MOST_CHARACTERS = 200
BARE = re.compile(  # nothing else
    r"(?:[-+−\d$\\(\[{.£€¥₹]|[A-Za-z]\s*=)[^\n]*|\**\(?[A-J][.)]?\**\.?"
    r"|(?!.*(?<![\\A-Za-z])[A-Za-z]{2})(?=.*[^\x00-\x7f<>])[^\n]+|\**(?:yes|no|true|false)\**[.!]?"
    r"|[a-z]\s*(?:[<>≤≥]|\\[lg]eq?)[^\n]*",
    re.IGNORECASE,
)


class Answer(NamedTuple):
    """An answer as it stands in a completion."""

    text: str
    boxed: bool  # in a box or between tags
    whole: bool = True  # False: the answer is somewhere in this text


def after_thinking(text: str) -> str | None:
    """Return what follows the end of the thinking; None while it is not over."""
    end = max((found.end() for found in CLOSED.finditer(text)), default=0)
    return None if OPENED.search(text, end) else text[end:]


def opened_thinking(prompt: str) -> str:
    """Return the tag by which a prompt ends in opened thinking, "" where it does not."""
    tags = [found for found in OPENED.finditer(prompt) if not prompt[found.end() :].strip()]
    return tags[-1][0] if tags else ""


def final_answer(completion: str, *, truncated: bool = False) -> Answer | None:
    """Return a completion's answer, None where there is none.

    The last box or pair of tags counts; else the last line that calls itself the answer; else
    what math-verify may find in the text. truncated: the completion was cut off, so an answer
    must be finished: a closed box or tag, or a line with something after it.
    """
    text = after_thinking(completion)
    if text is None:
        return None
    if marked := _marked(text, truncated):
        return Answer(marked, boxed=True)
    said = _said(text, truncated)
    if said:
        return Answer(said, boxed=False)
    if truncated or not text.strip() or find_boxes(text):  # a box that holds nothing
        return None
    text = text.strip()
    whole = bool(BARE.fullmatch(text)) and _is_short(text) and not GOES_ON.search(text)
    return Answer(text, boxed=False, whole=whole)


def _marked(text: str, truncated: bool) -> str | None:
    """Return what the last box or pair of tags holds, whichever comes later."""
    for tag in list(TAG.finditer(text))[: -MOST_TAGS - 1 : -1]:
        name = tag[1] or tag[2]
        end = re.compile(rf"[<\[]/{name}[>\]]", re.IGNORECASE).search(text, tag.end())
        inside = text[tag.end() : end.start() if end else len(text)].strip()
        after = text[end.end() :] if end else ""
        if inside and not BOX.search(after) and (end or not truncated):
            held = boxed_answer(inside, finished=truncated) or _said(inside, truncated and not end)
            if held or len(inside) <= MOST_CHARACTERS:
                return held or inside
    return boxed_answer(text, finished=truncated)


def _said(text: str, truncated: bool) -> str | None:
    """Return the last answer that a line gives, where it is no whole sentence."""
    lines = [found for form in (HASHES, LINE, CHINESE, CHOSEN) for found in form.finditer(text)]
    for found in sorted(lines, key=lambda found: found.start(), reverse=True):
        answer, end, closed = _clause(found["rest"].rstrip())
        rest = text[found.start("rest") + end :]
        if truncated and not (closed or "\n" in rest):
            continue
        if answer and _is_short(answer):
            return answer
        if not truncated:
            return None
    return None


def _clause(rest: str) -> tuple[str, int, bool]:
    """Return (the answer at the beginning of a line's rest, where it ends, is it closed there)."""
    for pattern in (DELIMITED, BOLD):
        if found := pattern.match(rest):
            answer = next(filter(None, found.groups()))
            following = rest[found.end() :].lstrip(" *_")
            if not following or following[0] == "." or pattern is BOLD:
                return answer.strip(" ."), found.end(), True
    ends = [found for found in (SENTENCE_END.search(rest), AND_SO_ON.search(rest)) if found]
    end = min(ends, key=lambda found: found.start(), default=None)
    if end is None:
        return rest.strip(" .*_"), len(rest), False
    return rest[: end.start()].strip(" .*_"), end.start(), end.end() < len(rest) or end[0] == "**"


def _is_short(text: str) -> bool:
    words = [word for word in WORD.findall(text) if word.lower() not in SMALL_WORDS]
    return len(text) <= MOST_CHARACTERS and len(words) <= MOST_WORDS and "?" not in text
