"""Where the turns of a conversation stand in what its chat template makes of it."""

from collections.abc import Callable
from functools import cached_property

from eval.turn_end import PROBE, TurnEnd, first_marker
from objectives.errors import InputError
from train.data.pieces import Pieces, squeezed, unopened

Messages = list[dict]
Render = Callable[..., str]  # of messages; opened: with the opening of the assistant's next turn


class Rendering:
    """A prompt and its completion as one text, which ends as the assistant's last turn does."""

    def __init__(
        self,
        render: Render,
        messages: Messages,
        first: int,
        end: TurnEnd,
        markers: list[str],
        pieces: Pieces,
    ):
        """first: which message the completion begins with. The last is the assistant's."""
        self.render, self.messages, self.first = render, messages, first
        self.end, self.markers, self.pieces = end, markers, pieces

    @property
    def assistant(self) -> list[int]:
        """Which messages of the completion the assistant wrote."""
        numbers = range(self.first, len(self.messages))
        return [n for n in numbers if self.messages[n].get("role") == "assistant"]

    @property
    def opened(self) -> str:
        """The prompt, as the policy sees it."""
        return self._upto(self.first, opened=True)

    @cached_property
    def full(self) -> str:
        """All messages, as the template writes them."""
        return self.render(self.messages)

    @cached_property
    def text(self) -> str:
        """All messages as they are trained: without what follows the end, and with all thoughts.

        A template that leaves the thoughts of the last turn out does so for later turns to come:
        in this turn, the model has them to write.
        """
        if not self.rebuilt:
            return self._cut(self.full)
        opened = self._upto(len(self.messages) - 1, opened=True)
        return opened + unopened(opened, self.messages[-1]["content"]) + self.end.text

    @cached_property
    def complete(self) -> bool:
        """Whether the template wrote the last turn's whole content, whatever blanks it changed."""
        content, last = self.messages[-1].get("content"), len(self.messages) - 1
        if not isinstance(content, str):
            return True
        opened = self._upto(last, opened=True)
        if self.full.startswith(opened):
            said = squeezed(self.full[len(opened) :])
            return squeezed(content) in said or squeezed(unopened(opened, content)) in said
        start = self.pieces.common_prefix(self.full, self._upto(last))
        return squeezed(content) in squeezed(self.full[start:])

    @property
    def rebuilt(self) -> bool:
        """Whether the last turn is put together from its content instead."""
        return not self.complete and self.messages[-1].keys() == {"role", "content"}

    def start(self, number: int) -> int:
        """Return where in the text a turn of the assistant begins, after its opening.

        Raises InputError where the template writes what comes before otherwise by itself.
        """
        opened = self._upto(number, opened=True)
        if self.text.startswith(opened):
            return len(opened)
        closed = self._upto(number)
        opening = opened.removeprefix(closed) if opened.startswith(closed) else ""
        if self.text.startswith(closed):
            return len(closed) + self.pieces.common_prefix(opening, self.text[len(closed) :])
        if number == self.first:
            raise InputError(
                "the chat template writes the prompt otherwise where a completion follows than by "
                "itself, as the policy will see it"
            )
        head, _ = self._around(number)
        start = len(head)
        if opening:
            begin = head.rfind(self.pieces.first(opening))
            start = begin + self.pieces.common_prefix(opening, head[begin:])
        if not self.text.startswith(head[:start]):
            raise self._astray(number)
        return start

    def stop(self, number: int) -> int:
        """Return where in the text a turn of the assistant ends, its end included.

        Raises InputError where that cannot be found.
        """
        if number == len(self.messages) - 1:
            return len(self.text)
        closed = self._upto(number + 1)
        if self.text.startswith(closed):
            return len(self._cut(closed))
        _, tail = self._around(number)
        whole = self._upto(len(self.messages) - 1, opened=True) if self.rebuilt else self.full
        common = min(len(tail), self.pieces.common_suffix(whole, tail))
        stop = len(whole) - common
        if common < len(tail):  # this turn ends in its own way
            return len(self._cut(whole[:stop]))
        marker = first_marker(tail, self.markers)
        if self.end.text and marker and not tail.partition(marker)[0].strip():
            stop += tail.index(marker) + len(marker)
        return stop

    def spans(self) -> list[tuple[int, int]]:
        """Return where in the text each turn of the assistant in the completion stands.

        Raises InputError as `start` and `stop`, and where turns are not in their order.
        """
        spans, before = [], 0
        for number in self.assistant:
            span = self.start(number), self.stop(number)
            if not before <= span[0] <= span[1]:
                raise self._astray(number)
            spans.append(span)
            before = span[1]
        return spans

    def _upto(self, number: int, opened: bool = False) -> str:
        return self.render(self.messages[:number], opened=opened)

    def _around(self, number: int) -> tuple[str, str]:
        """Return what the template writes before and after a plain answer in a turn's place."""
        messages = [*self.messages]
        messages[number] = {"role": "assistant", "content": PROBE}
        shown = self.render(messages[:-1], opened=True) if self.rebuilt else self.render(messages)
        head, found, tail = shown.rpartition(PROBE)
        if not found:
            raise self._astray(number)
        return head, tail

    def _cut(self, text: str) -> str:
        return text.removesuffix(self.end.after)

    def _astray(self, number: int) -> InputError:
        return InputError(
            f"the chat template does not write turn {number - self.first + 1} of the completion "
            f"where it was begun, so that what is to be trained of it cannot be told"
        )
