"""A row of a file, whatever its layout, as trajectories: text or conversation, decided once."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from objectives.errors import InputError
from train.data import cells
from train.data.cells import refused
from train.data.conversations import (
    MESSAGES,
    Side,
    completion,
    essence,
    messages,
    pair_completions,
    side,
    stated_prompt,
)
from train.data.trajectory import NOTHING, Text, Trajectory

# Of dialogues in plain text, in the manner of Anthropic's hh-rlhf.
DIALOGUE = re.compile(r"\s*(Human|User):")
ANSWER = re.compile(r"(?<=\n)Assistant:")
ANOTHER_TURN = re.compile(r"\n\s*(Human|User):")


class LeftOut(Exception):
    """A row that is well formed and cannot be trained on; its text says why, for counting."""


class _Asked(NamedTuple):
    """What a row has besides its completions."""

    prompt: Text | None  # as the column has it
    turns: list[dict] | None  # of the prompt and the system: the row is a conversation
    template: Mapping[str, Any]


def rollout(where: str, row: dict, graded: bool) -> list[Trajectory]:
    """Read `prompt, completion` with a reward or label; without both the reward is 1.

    graded: the rows of this file have either. Raises InputError naming row and column.
    """
    asked = _asked(where, row, "completion")
    if asked.turns is None:
        prompt: Text = _text(where, "prompt", row.get("prompt"), empty=False)
        said: Text = _text(where, "completion", row.get("completion"))
    else:
        if asked.prompt is None:
            raise refused(where, "prompt", None, MESSAGES)
        prompt, said = completion(where, _side(where, row, "completion", asked.turns))
    return [_one(where, row, prompt, said, asked.template, graded)]


def conversation(where: str, row: dict, graded: bool) -> list[Trajectory]:
    """Read `messages`: every turn of the assistant is its completion; the reward as in `rollout`.

    Raises InputError naming row and column.
    """
    system = _system(where, row.get("system"))
    stated = stated_prompt(where, None, system)
    said = messages(where, "messages", row.get("messages"))
    prompt, rest = completion(where, side(where, "messages", stated, said))
    template = cells.template_arguments(where, row)
    return [_one(where, row, prompt, rest, template, graded)]


def pair(where: str, row: dict, graded: bool = True) -> list[Trajectory]:
    """Read `prompt, chosen, rejected`; a prompt that is missing is what both begin with.

    Raises InputError naming row and column, LeftOut for text that parts before the last answer.
    """
    asked = _asked(where, row, "chosen", "rejected")
    if asked.turns is None:
        sides = [_text(where, name, row.get(name)) for name in ("chosen", "rejected")]
        if asked.prompt is None:
            prompt, *said = _dialogue(where, *sides)
        else:
            prompt, said = _text(where, "prompt", row.get("prompt"), empty=False), sides
    else:
        both = (_side(where, row, name, asked.turns) for name in ("chosen", "rejected"))
        prompt, *said = pair_completions(where, *both)
    key, factor = _key(prompt, asked.template), cells.weight(where, row)
    # A pair is weighted by the product of its rows' weights.
    return [
        Trajectory(prompt, text, reward, key, weight, template=asked.template, where=where)
        for text, reward, weight in zip(said, (1.0, -1.0), (factor, 1.0), strict=True)
    ]


def _one(
    where: str, row: dict, prompt: Text, said: Text, template: Mapping[str, Any], graded: bool
) -> Trajectory:
    group = row.get("group_id")
    return Trajectory(
        prompt,
        said,
        _reward(where, row, graded),
        _key(prompt, template) if cells.missing(group) else cells.group(where, group),
        cells.weight(where, row),
        cells.truncated(where, row),
        cells.token_ids(where, row.get("completion_ids")),
        template,
        where,
    )


def _reward(where: str, row: dict, graded: bool) -> float:
    if not graded and (row.get("reward") is not None or row.get("label") is not None):
        raise InputError(f"{where}: it has a reward or a label, and the rows before it have none")
    if not graded:
        return 1.0
    if "reward" in row:
        return cells.number(where, "reward", row["reward"])
    return 1.0 if cells.truth(where, "label", row.get("label")) else -1.0


def _asked(where: str, row: dict, *columns: str) -> _Asked:
    """Decide whether a row is text or a conversation: if any of its parts is one, all are.

    So is a row with what only a template takes: a system's words, tools, arguments.
    """
    prompt, system = row.get("prompt"), _system(where, row.get("system"))
    template = cells.template_arguments(where, row)
    parts = [prompt, *(row.get(name) for name in columns)]
    if not any(isinstance(part, list) for part in parts) and system is None and not template:
        return _Asked(prompt, None, NOTHING)
    if isinstance(prompt, list):
        prompt = messages(where, "prompt", prompt)
    elif prompt is not None:
        prompt = _text(where, "prompt", prompt, empty=False)
    return _Asked(prompt, stated_prompt(where, prompt, system), template)


def _side(where: str, row: dict, column: str, prompt: list[dict]) -> Side:
    value = row.get(column)
    if isinstance(value, list):
        return side(where, column, prompt, messages(where, column, value))
    said = {"role": "assistant", "content": _text(where, column, value)}
    return side(where, column, prompt, [said])


def _system(where: str, value: Any) -> str | None:
    return None if cells.missing(value) else _text(where, "system", value, expected="text")


def _text(where: str, column: str, value: Any, empty: bool = True, expected: str = MESSAGES) -> str:
    if isinstance(value, str | bytes) and (value or empty):
        return cells.text(value)
    raise refused(where, column, value, expected)


def _dialogue(where: str, chosen: str, rejected: str) -> tuple[str, str, str]:
    """Split two dialogues in plain text after the last `Assistant:` that both have come to."""
    if not DIALOGUE.match(chosen) or not DIALOGUE.match(rejected):
        raise refused(where, "prompt", None, f"{MESSAGES}, as chosen and rejected are no dialogues "
                      f"of Human: and Assistant: turns")  # fmt: skip
    ends = [found.end() for found in ANSWER.finditer(chosen)]
    ends = [end for end in ends if rejected.startswith(chosen[:end])]
    if not ends:
        raise LeftOut("of dialogues that share no prompt")
    prompt = chosen[: ends[-1]]
    sides = chosen[ends[-1] :], rejected[ends[-1] :]
    if any(ANOTHER_TURN.search(text) for text in sides):
        raise LeftOut("of dialogues in plain text that part before the last answer")
    return prompt, *sides


def _key(prompt: Text, template: Mapping[str, Any]) -> str:
    """Return what rollouts of one prompt have in common, asked as text or as one message."""
    if isinstance(prompt, str):
        return prompt
    turns = [essence(turn) for turn in prompt]
    if turns == [{"role": "user", "content": turns[0]["content"]}] and not template:
        return turns[0]["content"]
    return json.dumps([turns, dict(template)] if template else turns, sort_keys=True)
