"""Problems of multiple choice: their choices as the question shows them, and the gold one."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from eval.answers.choices import option
from eval.answers.spelling import spelled

COLUMNS = ("choices", "options")
LETTERS = "ABCDEFGHIJ"
LABELLED = re.compile(r"\(?([A-J])\s*[).:]\s*(.*)", re.DOTALL)  # AQuA's `A)21`


def choices(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what may be chosen in a row, by its label as it stands there; {} where nothing may.

    Reads a column `choices` or `options`: a list of texts (MMLU), of texts with their letters
    (AQuA), `{"text": [...], "label": [...]}` (ARC), `{"A": ..., "B": ...}` (MedQA), or such a one
    as text. Raises ValueError for what is none of these.
    """
    value = next((row[name] for name in COLUMNS if row.get(name) is not None), None)
    if isinstance(value, str):
        value = _loaded(value)
    if value is None or value == {}:
        return {}
    labels = None
    if isinstance(value, Mapping) and {"text", "label"} <= set(value):
        value, labels = value["text"], list(map(str, value["label"]))
    elif isinstance(value, Mapping):
        value, labels = list(value.values()), list(map(str, value))
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list) or not all(isinstance(v, (str, int, float)) for v in value):
        raise ValueError("expected a list of texts")
    texts = [str(v).strip() for v in value]
    lettered = [LABELLED.fullmatch(text) for text in texts]
    if labels is None and all(f and f[1] == own for f, own in zip(lettered, LETTERS, strict=False)):
        texts = [f[2] for f in lettered if f]
    labels = list(LETTERS[: len(texts)]) if labels is None else labels
    if len(texts) > len(LETTERS) or len(set(labels)) != len(texts):
        raise ValueError(f"expected at most {len(LETTERS)} texts, each with a label of its own")
    return dict(zip(labels, texts, strict=True))


def shown(found: Mapping[str, str]) -> str:
    """Return choices as lines that a question ends in, with letters in the place of labels."""
    return "\n".join(f"({own}) {text}" for own, text in zip(LETTERS, found.values(), strict=False))


def gold_choice(found: Mapping[str, str], gold: str, index: bool) -> str:
    """Return the gold choice as a gold answer: its letter, and what it says where that is short.

    gold: its label, what it says or its place from 0. index: whether it is a number, which is a
    place where it is no choice's text; a text is a label first. Raises ValueError where it is none.
    """
    labels, texts = list(found), list(found.values())
    bare = gold.strip().strip("().").strip()
    upper = [label.upper() for label in labels]
    if not index and bare.upper() in upper:
        place = upper.index(bare.upper())
    elif gold.strip() in texts:
        place = texts.index(gold.strip())
    elif bare in labels:
        place = labels.index(bare)
    elif bare.isdecimal() and int(bare) < len(texts):
        place = int(bare)
    else:
        raise ValueError(f"{gold} is neither a label nor a place nor a text of its choices")
    letter, text = LETTERS[place], texts[place]
    both = f"({letter}) {text}"
    from eval.answers.equality import readable  # sympy: for a table that has choices alone

    named = option(spelled(both)) if text and readable(text) else None
    return both if named and named.letter == letter and named.content else letter


def _loaded(text: str) -> Any:
    if not text.strip():
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    raise ValueError("expected a list of texts")
