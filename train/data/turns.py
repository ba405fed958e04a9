"""A conversation as its chat template writes it, and what of it the assistant wrote."""

import re
from collections.abc import Mapping
from itertools import compress
from typing import Any, NamedTuple, cast

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from eval.prompts import render_messages
from eval.turn_end import TurnEnd, markers, turn_end
from objectives.errors import InputError
from train.data.pieces import Pieces
from train.data.rendering import Messages, Rendering
from train.data.tool_calls import in_each_form
from train.data.trajectory import Trajectory

REASONING = ("reasoning_content", "thinking")  # two names of one thing
MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")  # a template says what the assistant writes


class Turns(NamedTuple):
    """A text, and the spans of it that are trained, of which the first begins the completion."""

    text: str
    spans: list[tuple[int, int]]
    ended: bool  # the text tells its end
    unused: frozenset[str] = frozenset()  # what the template does not look at


class Conversations:
    """Writes conversations by a tokenizer's template, prompt and completion together."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.end = turn_end(tokenizer) or TurnEnd("", "", None)
        self.markers = markers(tokenizer)
        self.pieces = Pieces(self.markers)
        self._prompt: tuple = ()  # the last one, rendered: rows of one prompt follow one another
        self._opened = ""

    def describe_end(self) -> str:
        """Return how a turn ends, in words."""
        text, after = _shown(self.end.text), _shown(self.end.after)
        if self.end.text:
            rest = f", then {after} which is not trained" if self.end.after else ""
            return f"turns end in {text}{rest}"
        eos = self.tokenizer.eos_token
        if eos:
            return f"turns end in {eos}: the chat template writes no end"
        return "turns have no end: neither the chat template nor the tokenizer has one"

    def turns(self, row: Trajectory) -> Turns:
        """Return a trajectory of messages as text.

        The completion is what follows the prompt with the opening of the assistant's turn, as far
        as the template goes on with that. Raises InputError naming the row where the template
        refuses the messages or does not write a turn where it was begun.
        """
        try:
            return self._turns(row)
        except InputError as error:
            raise InputError(f"{row.where}: {error}" if row.where else str(error)) from None

    def _turns(self, row: Trajectory) -> Turns:
        prompt = cast(Messages, row.prompt)
        completion = [self._without_end(turn) for turn in cast(Messages, row.completion)]
        rendering, unused = self._best([*prompt, *completion], len(prompt), row.template)
        if "tool_calls" in unused and not any(_said(rendering)):
            return Turns(rendering.opened, [], True, unused)
        text, spans = rendering.text, self._marked(rendering, row.template) or rendering.spans()
        if "tool_calls" in unused:
            spans = list(compress(spans, _said(rendering)))
        if row.truncated and self.end.text:
            text = text.removesuffix(self.end.text)
            spans = [*spans[:-1], (spans[-1][0], len(text))]
        ended = bool(self.end.text) and text.endswith(tuple(self.markers))
        return Turns(text, spans, ended, unused)

    def _best(
        self, messages: Messages, first: int, template: Mapping[str, Any]
    ) -> tuple[Rendering, frozenset[str]]:
        """Return how the template writes messages, and what of them it does not look at.

        They are in the first form of their calls in which it writes these, or else the first that
        it takes. Raises InputError where it takes none.
        """
        found, why = None, InputError("no messages")
        for form in in_each_form(messages):
            rendering = self._rendering(form, first, template)
            try:
                own = rendering, self._unused(rendering, template)
            except InputError as error:
                why = why if found else error
                continue
            if "tool_calls" not in own[1]:
                return own
            found = found or own
        if found is None:
            raise why
        return found

    def _rendering(self, messages: Messages, first: int, template: Mapping[str, Any]) -> Rendering:
        prompt = messages[:first]

        def render(messages: Messages, opened: bool = False) -> str:
            if not opened or len(messages) != len(prompt):
                return render_messages(self.tokenizer, messages, opened=opened, **template)
            if self._prompt != (messages, template):
                self._opened = render_messages(
                    self.tokenizer, messages, opened=opened, **template
                )  # fmt: skip
                self._prompt = messages, template
            return self._opened

        return Rendering(render, messages, first, self.end, self.markers, self.pieces)

    def _without_end(self, message: dict) -> dict:
        """Return a message that does not end its turn itself, as the template will."""
        content, end = message.get("content"), self.end.text.strip()
        if message.get("role") != "assistant" or not end or not isinstance(content, str):
            return message
        if not content.rstrip().endswith(end):
            return message
        return {**message, "content": content.rstrip().removesuffix(end)}

    def _marked(
        self, rendering: Rendering, template: Mapping[str, Any]
    ) -> list[tuple[int, int]] | None:
        """Return the spans of the completion that the template itself marks as the assistant's."""
        source = self.tokenizer.get_chat_template(None, template.get("tools"))
        if rendering.rebuilt or not MARKS.search(source):
            return None
        shown: Any = render_jinja_template(  # a pair, though declared as text
            conversations=[rendering.messages],
            chat_template=source,
            return_assistant_tokens_mask=True,
            **{**self.tokenizer.special_tokens_map, **template},
        )
        (text,), (marks,) = shown
        own = rendering.assistant
        marks = [span for span in marks if span[1] > rendering.start(rendering.first)]
        if text != rendering.full or len(marks) != len(own):
            return None
        return [
            (max(begin, rendering.start(number)), self._with_end(text, stop))
            for number, (begin, stop) in zip(own, marks, strict=True)
        ]

    def _with_end(self, text: str, stop: int) -> int:
        if self.end.text and text.startswith(self.end.text, stop):
            return stop + len(self.end.text)
        return len(text[:stop].removesuffix(self.end.after))

    def _unused(self, rendering: Rendering, template: Mapping[str, Any]) -> frozenset[str]:
        """Return which of the template's arguments and of the messages' fields change nothing."""
        found = {name for name in template if self._same(rendering, {name}, template)}
        fields = {name for message in rendering.messages for name in message}
        thoughts = fields & set(REASONING)
        for name in fields - {"role", "content"} - thoughts:
            if self._same(rendering, {name}, template):
                found.add(name)
        if thoughts and self._same(rendering, thoughts, template):
            found.add(REASONING[0])
        if not rendering.complete and not rendering.rebuilt:
            found.add("content")
        return frozenset(found)

    def _same(self, rendering: Rendering, names: set[str], template: Mapping[str, Any]) -> bool:
        """Say whether the template writes the same without these fields and arguments."""
        less = [{k: v for k, v in m.items() if k not in names} for m in rendering.messages]
        rest = {name: value for name, value in template.items() if name not in names}
        try:
            whole = render_messages(self.tokenizer, less, **rest)
            prompt = render_messages(
                self.tokenizer, less[: rendering.first], opened=True, **rest
            )  # fmt: skip
        except InputError:
            return False
        return whole == rendering.full and prompt == rendering.opened


def _said(rendering: Rendering) -> list[bool]:
    """Return which turns of the assistant say something, and not only call tools."""
    return [bool(rendering.messages[n].get("content")) for n in rendering.assistant]


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if text != text.strip(" ") else shown[1:-1]
