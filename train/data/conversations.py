"""Conversations: where the prompt ends, and what the assistant goes on with."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from objectives.errors import InputError
from train.data.cells import plain, refused

ROLES = {"gpt": "assistant", "model": "assistant", "human": "user"}  # other names of them
OPENING = ("system", "developer")
READ = ("user", "tool", "function", "ipython", "observation", *OPENING)  # by the assistant
ESSENCE = ("role", "content", "tool_calls", "name", "reasoning_content")
MESSAGES = "text or a list of messages"


class Side(NamedTuple):
    """A whole conversation, and how much of it is the prompt that its row states."""

    column: str
    turns: list[dict]
    stated: int
    repeats: bool  # the column holds the prompt too


def messages(where: str, column: str, value: Any) -> list[dict]:
    """Return a conversation's messages; raises InputError for what are none.

    What a message does not have and what it has as null are the same: Parquet cannot tell them
    apart. The content of one that calls tools may be null, as OpenAI's own format has it.
    """
    if not isinstance(value, list) or not value or not all(isinstance(m, dict) for m in value):
        expected = MESSAGES.removeprefix("text or ") if column == "messages" else MESSAGES
        raise refused(where, column, value, expected)
    for number, message in enumerate(value, 1):
        for name in ("role", "content"):
            silent = name == "content" and message.get("tool_calls") and message.get(name) is None
            if not isinstance(message.get(name), str) and not silent:
                what = f"{column} message {number}: {name}"
                raise refused(where, what, message.get(name), "text")
    return [_message(message) for message in value]


def _message(given: dict) -> dict:
    message = {name: plain(value) for name, value in given.items() if value is not None}
    return _thought({**message, "content": message.get("content", "")})


def _thought(message: dict) -> dict:
    """Give the reasoning both names that templates know it by."""
    for one, other in (("thinking", "reasoning_content"), ("reasoning_content", "thinking")):
        if one in message:
            return {other: message[one], **message}
    return message


def stated_prompt(where: str, prompt: str | list[dict] | None, system: str | None) -> list[dict]:
    """Return the messages of the columns prompt and system, of which either may be missing.

    Raises InputError where both have a system's turn and these differ.
    """
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt or []
    if not system:
        return turns
    opening, _ = _opened(turns)
    own = [{"role": "system", "content": system}]
    if opening and [turn["content"] for turn in opening] != [system]:
        raise InputError(f"{where}: system differs from the system's turn of the prompt")
    return turns if opening else own + turns


def side(where: str, column: str, prompt: list[dict], said: list[dict]) -> Side:
    """Put a prompt and what a column holds together: what follows the prompt, or both of them.

    Raises InputError where a column goes on with a turn that is not the assistant's.
    """
    if speaker(said[0]) == "assistant":
        if not prompt:
            raise InputError(f"{where}: {column} begins with the assistant's turn and there is no "
                             f"prompt")  # fmt: skip
        return Side(column, prompt + said, len(prompt), False)
    (opening, asked), (own, rest) = _opened(prompt), _opened(said)
    length = _repeated(asked, rest)
    if length is None:
        raise InputError(
            f"{where}: {column} begins with a turn of {said[0]['role']!r:.40} that does not repeat "
            f"the prompt; expected one of 'assistant'"
        )
    if opening and own and [_gist(turn) for turn in opening] != [_gist(turn) for turn in own]:
        raise InputError(f"{where}: {column} has another system's turn than the prompt")
    opening = own or opening
    return Side(column, opening + rest, len(opening) + length, True)


def _repeated(asked: Sequence[dict], rest: Sequence[dict]) -> int | None:
    """Return how many turns a conversation has as far as it repeats the prompt, None: it does not.

    A prompt of one message may also be the last question of several, as in Capybara's pairs.
    """
    gists = [_gist(turn) for turn in rest]
    if gists[: len(asked)] == [_gist(turn) for turn in asked]:
        return len(asked)
    if len(asked) != 1 or _gist(asked[0]) not in gists:
        return None
    return len(gists) - gists[::-1].index(_gist(asked[0]))


def completion(where: str, whole: Side) -> tuple[list[dict], list[dict]]:
    """Return a conversation as prompt and completion, from the assistant's first turn to its last.

    Raises InputError where the assistant says nothing after the prompt.
    """
    start, last = whole.stated, _last(where, whole)
    if whole.repeats:
        start += next(
            n for n, turn in enumerate(whole.turns[start:]) if speaker(turn) == "assistant"
        )
    return whole.turns[:start], _completion(where, whole, start, last)


def pair_completions(
    where: str, chosen: Side, rejected: Side
) -> tuple[list[dict], list[dict], list[dict]]:
    """Return the prompt of a pair, and both completions.

    The prompt is what both share where a column holds it too. Raises InputError where they part
    elsewhere than before a turn of the assistant, or share nothing.
    """
    sides = chosen, rejected
    lasts = [_last(where, each) for each in sides]
    start = chosen.stated
    if chosen.repeats or rejected.repeats:
        turns = enumerate(zip(chosen.turns, rejected.turns, strict=False))
        start = next((n for n, (a, b) in turns if essence(a) != essence(b)), min(lasts))
        start = min(start, *lasts)
    if not start:
        raise InputError(f"{where}: chosen and rejected share no prompt")
    for each in sides:
        if speaker(each.turns[start]) != "assistant":
            raise InputError(
                f"{where}: chosen and rejected part at a turn of "
                f"{each.turns[start]['role']!r:.40}; expected one of 'assistant'"
            )
    prompt = chosen.turns[:start]
    one, other = (
        _completion(where, each, start, last) for each, last in zip(sides, lasts, strict=True)
    )
    return prompt, one, other


def speaker(turn: dict) -> str:
    """Return who speaks, by the name that most templates have for it."""
    role: str = turn["role"]
    return ROLES.get(role, role)


def essence(turn: dict) -> dict:
    """Return what tells a turn from others: not when it was said, or under which number."""
    return {name: turn[name] for name in ESSENCE if name in turn}


def _opened(turns: Sequence[dict]) -> tuple[list[dict], list[dict]]:
    """Cut off the system's turns that a conversation begins with."""
    count = next((n for n, t in enumerate(turns) if speaker(t) not in OPENING), len(turns))
    return list(turns[:count]), list(turns[count:])


def _gist(turn: dict) -> tuple[str, str]:
    return speaker(turn), turn["content"].strip()


def _last(where: str, whole: Side) -> int:
    """Return where the assistant's last turn is, after the prompt that the row states."""
    found = [n for n, turn in enumerate(whole.turns) if speaker(turn) == "assistant"]
    if not found or found[-1] < whole.stated:
        raise InputError(f"{where}: {whole.column} has no turn of the assistant after the prompt")
    return found[-1]


def _completion(where: str, whole: Side, start: int, last: int) -> list[dict]:
    turns = whole.turns[start : last + 1]
    for turn in turns:
        if speaker(turn) not in ("assistant", *READ):
            raise InputError(
                f"{where}: {whole.column} has a turn of {turn['role']!r:.40}; expected "
                f"assistant, user, tool or system"
            )
    # A role in the prompt stays as it is written: the template may know it.
    return [{**turn, "role": "assistant"} if speaker(turn) == "assistant" else turn
            for turn in turns]  # fmt: skip
