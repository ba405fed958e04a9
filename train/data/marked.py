"""A trajectory's tokens as text, in which those that are trained stand out."""

from itertools import groupby
from typing import cast

from transformers import PreTrainedTokenizerBase

from train.data.tokens import Tokens

MOST = 240  # tokens that are shown of a trajectory: the middle of a longer one is not
BETWEEN = "·"
DIM, RESET = "\x1b[2m", "\x1b[0m"
TURNS = ("\x1b[1;32m", "\x1b[1;36m")  # of trained tokens in turn, so that one is told from the next
NEW_LINE = "↵"


def marked(tokens: Tokens, tokenizer: PreTrainedTokenizerBase, colour: bool) -> str:
    """Return a trajectory token by token: in colour, or with trained ones between « and ».

    A token ends at a change of colour, or at a middle dot. Control characters are written out.
    """
    trained = [False] * len(tokens.prompt)
    trained += tokens.trained or [True] * len(tokens.completion)
    texts = [_shown(tokenizer, token) for token in tokens.whole]
    both = list(zip(texts, trained, strict=True))
    if len(both) > MOST:
        # The boundary is what one looks for.
        start = max(0, min(len(tokens.prompt) - MOST // 2, len(both) - MOST))
        before, after = start, len(both) - start - MOST
        both = both[start : start + MOST]
    else:
        before = after = 0
    text = "".join(
        _run([text for text, _ in run], learn, colour)
        for learn, run in groupby(both, lambda t: t[1])
    )
    ahead = f"({before} tokens) ... " if before else ""
    return ahead + text + (f" ... ({after} tokens)" if after else "")


def _run(texts: list[str], learn: bool, colour: bool) -> str:
    if not colour:
        inside = BETWEEN.join(texts)
        return f"«{inside}»" if learn else inside
    if not learn:
        return DIM + BETWEEN.join(texts) + RESET
    return "".join(TURNS[n % 2] + text for n, text in enumerate(texts)) + RESET


def _shown(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    text = cast(str, tokenizer.decode([token], clean_up_tokenization_spaces=False))
    text = text.replace("\n", NEW_LINE)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
