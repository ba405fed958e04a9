"""Tokenising trajectories: prompt and completion together, many rows at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast

from transformers import PreTrainedTokenizerBase

from eval.prompts import encode_texts
from train.data.input_rows import alike
from train.data.tokens import Tokens
from train.data.trajectory import Trajectory
from train.data.turns import Conversations, Turns

CHARACTERS_AT_ONCE = 2**19  # a tokenizer takes some hundred bytes a token while it works


class Encoder:
    """Turns trajectories into tokens, and remembers what there is to say of them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer, self.conversations = tokenizer, Conversations(tokenizer)
        # Declared as whatever an attribute of a tokenizer may be.
        self.eos = cast("int | None", tokenizer.eos_token_id)
        eos, end = cast("str | None", tokenizer.eos_token), self.conversations.end
        self.ends = {i for i in (self.eos, end.token) if i is not None}
        self.end_texts = tuple(name for name in (eos, end.text.strip()) if name)
        self.chats = False  # whether a conversation was among the rows
        self.unused: Counter[str] = Counter()  # rows that have it, and their template ignores it

    def encode(self, rows: Sequence[Trajectory]) -> Iterator[Tokens]:
        """Yield each trajectory's tokens.

        A completion's ids as they were sampled are kept where they spell it. Otherwise prompt and
        completion are tokenised together, so that boundaries are where the model would put them:
        a token that spans one is the assistant's. The tokenizer's end of sequence is added where
        neither the text nor a chat template has told the end, unless the row is truncated.
        Raises InputError as `Conversations.turns` does.
        """
        written = [self._written(row) for row in rows]
        for part in _parts([len(turns.text) for turns in written]):
            yield from self._encode_part(rows[part], written[part])

    def notes(self) -> list[str]:
        """Return what there is to say of the rows so far, a line each."""
        said = [self.conversations.describe_end()] if self.chats else []
        for name, count in sorted(self.unused.items()):
            rows = "trajectory" if count == 1 else "trajectories"
            said.append(
                f"not used: {name} of {count} {rows}, at which the chat template does not look"
            )
        return said

    def _written(self, row: Trajectory) -> Turns:
        if not isinstance(row.prompt, str):
            turns = self.conversations.turns(row)
            self.chats = True
            self.unused.update(turns.unused)
            return turns
        completion = cast(str, row.completion)  # as the prompt is text
        bare = completion.rstrip()
        ended = not row.truncated and bare.endswith(self.end_texts)
        text = row.prompt + (bare if ended else completion)
        return Turns(text, [(len(row.prompt), len(text))], ended)

    def _encode_part(
        self, rows: Sequence[Trajectory], written: Sequence[Turns]
    ) -> Iterator[Tokens]:
        # What is tokenised by itself: prompts, and what comes before a boundary inside.
        before = [[text[:place] for place in _boundaries(spans)] for text, spans, *_ in written]
        distinct = list(dict.fromkeys(text for texts in before for text in texts))
        ids = dict(zip(distinct, encode_texts(self.tokenizer, distinct), strict=True))
        fresh = [n for n, row in enumerate(rows) if not self._spelt(row)]
        together = encode_texts(self.tokenizer, [written[n].text for n in fresh])
        whole = dict(zip(fresh, together, strict=True))
        for number, (row, turns, texts) in enumerate(zip(rows, written, before, strict=True)):
            known = [ids[text] for text in texts]
            if row.token_ids is not None and number not in whole:
                yield Tokens(known[0], row.token_ids)
            else:
                end = None if turns.ended or row.truncated else self.eos
                yield _split(whole[number], known, end)

    def _spelt(self, row: Trajectory) -> bool:
        if row.token_ids is None:
            return False
        ids = row.token_ids[:-1] if row.token_ids[-1:] and row.token_ids[-1] in self.ends else (
            row.token_ids
        )  # fmt: skip
        text = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text == _said(row)


def _said(row: Trajectory) -> str | None:
    """Return what the assistant said, where that is one turn of text."""
    if isinstance(row.completion, str):
        return row.completion
    if len(row.completion) != 1 or row.completion[0].keys() - {"role", "content"}:
        return None
    return row.completion[0].get("content")


def _parts(lengths: list[int]) -> Iterator[slice]:
    start, size = 0, 0
    for number, length in enumerate(lengths):
        if size and size + length > CHARACTERS_AT_ONCE:
            yield slice(start, number)
            start, size = number, 0
        size += length
    yield slice(start, len(lengths))


def _boundaries(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return where spans begin and end, but for the end of the last, which is the text's."""
    return [place for span in spans for place in span][:-1]


def _split(whole: list[int], before: list[list[int]], end: int | None) -> Tokens:
    """Split a text's ids.

    before: ids of the text up to each boundary: where what is trained begins, ends, begins; none
    where nothing is. end: the id that is to end the completion.
    """
    if not before:
        return Tokens(whole, [])
    places = []
    for number, ids in enumerate(before):
        place = alike(ids, whole)
        spans = place < len(ids)  # the token there, and it is the assistant's
        places.append(place + 1 if spans and number % 2 else place)
    start = places[0]
    completion = whole[start:]
    trained = None
    if len(places) > 1:
        trained = [False] * len(completion)
        for begin, stop in zip(places[::2], [*places[1::2], len(whole)], strict=True):
            trained[begin - start : stop - start] = [True] * (stop - begin)
    if end is not None and completion[-1:] != [end]:
        completion.append(end)
        trained = trained and [*trained, True]
    return Tokens(whole[:start], completion, trained)
