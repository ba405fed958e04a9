"""Rows that cannot be used, and values of unusual kinds: read exactly, or refused by name."""

from decimal import Decimal

import numpy as np
import pytest

from objectives.errors import InputError
from tests.helpers.rows import (
    ASK,
    NINE,
    PAIR,
    ROLLOUT,
    SEVEN,
    SYSTEM,
    WHOLE,
    parts,
    read,
    said,
    turn,
    user,
)
from train.data.layouts import layout_of
from train.data.table import read_table


@pytest.mark.parametrize(
    ("row", "message"),
    [
        # The answer is a user's.
        ({**PAIR, "chosen": [user("Seven.")]}, "chosen begins with a turn of 'user' that does"),
        ({**PAIR, "rejected": [user("Nine."), said("x")]}, "rejected begins with a turn of 'us"),
        ({**WHOLE, "prompt": "How much?"}, "chosen begins with a turn of 'user' that does not rep"),
        ({"prompt": [ASK], "completion": [turn("tool", "7")], "label": True},
         "completion begins with a turn of 'tool'"),
        ({**PAIR, "rejected": [NINE, turn("narrator", "x"), NINE]},
         "rejected has a turn of 'narrator'"),
        ({"messages": "Q?"}, "messages is 'Q.', expected a list of messages"),
        ({"messages": [ASK]}, "messages has no turn of the assistant"),
        ({"messages": [SEVEN, ASK, NINE]}, "messages begins with the assistant's turn"),
        # There is no prompt, or not one.
        ({"chosen": [SEVEN], "rejected": [NINE]}, "chosen begins with the assistant's turn and"),
        ({"chosen": [ASK], "rejected": [ASK, NINE]}, "chosen has no turn of the assistant"),
        ({"chosen": [ASK, SEVEN], "rejected": [user("x"), NINE]},
         "chosen and rejected share no prompt"),
        ({"chosen": [ASK, SEVEN, user("a"), SEVEN], "rejected": [ASK, SEVEN, user("b"), NINE]},
         "chosen and rejected part at a turn of 'user'"),
        ({"chosen": "Q? A.", "rejected": "Q? B."}, "prompt is None, .* no dialogues"),
        ({"prompt": None, "completion": [ASK, SEVEN], "label": True}, "prompt is None"),
        ({**PAIR, "prompt": [SYSTEM, ASK], "system": "Be long."}, "system differs from"),
        ({**PAIR, "prompt": [SYSTEM, ASK], "chosen": [turn("system", "x"), ASK, SEVEN]},
         "chosen has another system's turn"),
        # Messages that are none.
        ({**PAIR, "prompt": [user(5)]}, "prompt message 1: content is 5, expected text"),
        ({**PAIR, "prompt": [turn(None, "x")]}, "prompt message 1: role is None"),
        ({**PAIR, "chosen": [said(None, tool_calls=[])]}, "chosen message 1: content is None"),
        ({**PAIR, "chosen": [{"speaker": "gpt", "value": "x"}]}, "chosen message 1: role is None"),
        ({**PAIR, "chosen": SEVEN}, "chosen is .*, expected text or a list of messages"),
        ({**PAIR, "rejected": []}, "rejected is .., expected text or a list of messages"),
        ({**PAIR, "rejected": None}, "rejected is None, expected text or a list of messages"),
        ({"prompt": ["Q?"], "chosen": ["A."], "rejected": ["B."]}, "prompt is ..Q.*, expected"),
        ({**ROLLOUT, "prompt": ""}, "prompt is '', expected text or a list of messages"),
        # What a template takes.
        ({**PAIR, "tools": "count(sheep)"}, "tools is 'count.sheep.', expected a list of objects"),
        ({**PAIR, "tools": ["count"]}, "tools is .'count'., expected a list of objects"),
        ({**PAIR, "chat_template_kwargs": [1]}, "chat_template_kwargs is .1., expected an object"),
        ({**PAIR, "chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs has tokenize"),
        ({**PAIR, "system": 3}, "system is 3, expected text"),
        # Numbers.
        ({**ROLLOUT, "reward": 1e39}, "reward is 1e.39, expected a finite number of at most 1e.15"),
        ({**ROLLOUT, "reward": -1e39}, "reward is -1e.39, .*: scale all of them down"),
        ({**ROLLOUT, "reward": float("inf")}, "reward is inf, expected a finite number"),
        ({**ROLLOUT, "reward": float("nan")}, "reward is nan, expected a finite number"),
        ({**ROLLOUT, "reward": 10**5000}, "reward is a number of more than 30 digits, expected"),
        ({**ROLLOUT, "reward": Decimal("NaN")}, "reward is nan, expected a finite number"),
        ({**ROLLOUT, "reward": "1.0"}, "reward is '1.0', expected a finite number"),
        ({**ROLLOUT, "reward": None, "label": True}, "reward is None, expected a finite number"),
        ({**ROLLOUT, "weight": -2}, "weight is -2, expected a number from 0 to 1e.15"),
        ({**PAIR, "weight": -0.5}, "weight is -0.5, expected a number from 0"),
        ({**PAIR, "weight": float("nan")}, "weight is nan, expected a number from 0"),
        ({"prompt": "Q?", "completion": "A.", "label": 1.0}, "label is 1.0, expected true or fal"),
        ({"prompt": "Q?", "completion": "A.", "label": -1}, "label is -1, expected true or false"),
        ({"prompt": "Q?", "completion": "A.", "label": "true"}, "label is 'true', expected true"),
        ({**ROLLOUT, "truncated": "False"}, "truncated is 'False', expected true or false"),
        ({**ROLLOUT, "truncated": 2}, "truncated is 2, expected true or false"),
        ({**ROLLOUT, "truncated": float("nan")}, "truncated is nan, expected true or false"),
        ({**ROLLOUT, "completion_ids": [1, 2**31]}, "completion_ids is .*, expected a list of tok"),
        ({**ROLLOUT, "completion_ids": [True]}, "completion_ids is .True., expected a list of tok"),
        ({**ROLLOUT, "completion_ids": "1 2"}, "completion_ids is '1 2', expected a list of token"),
        ({**ROLLOUT, "group_id": [1]}, "group_id is .1., expected a number or text"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named_with_its_column(row, message):
    right = {name: ROLLOUT[name] for name in ("prompt", "completion")}
    with pytest.raises(InputError, match=rf"^rows row 1: {message}"):
        read(row)
    if "chosen" not in row and "messages" not in row:
        with pytest.raises(InputError, match=r"^rows row 2: "):
            read({**right, "reward": 1, "label": True}, row)


def test_numbers_of_any_kind():
    values = [1, 0.5, True, np.float32(0.25), np.int64(2), Decimal("1.5"), 1e15]
    rows = [{**ROLLOUT, "reward": value, "weight": value} for value in values]
    assert [t.reward for t in read(*rows)] == [1, 0.5, 1, 0.25, 2, 1.5, 1e15]
    assert [t.weight for t in read(*rows)] == [1, 0.5, 1, 0.25, 2, 1.5, 1e15]
    flags = [True, 1, 1.0, np.True_, 0, 0.0, False, None]
    assert [t.truncated for t in read(*({**ROLLOUT, "truncated": f} for f in flags))] == (
        [True] * 4 + [False] * 4
    )


def test_halves_of_characters_become_the_sign_for_what_cannot_be_read():
    row = {"prompt": [user("Q \ud83d?")], "completion": "A \ud83d\ude00.", "reward": 1}
    assert parts(row) == [([user("Q \ufffd?")], [said("A \U0001f600.")])]
    assert parts({"prompt": b"Q?", "completion": b"\xff", "label": True}) == [("Q?", "\ufffd")]


def test_columns_that_are_not_used_are_known():
    layout = layout_of("rows", [{**PAIR, "images": [], "score_chosen": 1.0, "system": "x"}])
    assert layout.unused == ("images", "score_chosen")
    assert layout.paired
    layout = layout_of("rows", [{"prompt": "Q?", "completion": "A."}, {"label": True}])
    assert (layout.graded, layout.paired, layout.unused) == (True, False, ())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["prompt", "chosen"], "no column rejected among chosen, prompt; expected prompt, compl"),
        (["rejected"], "no column chosen among rejected"),
        (["prompt"], "no column completion among prompt"),
        (["question", "answer"], "no column completion, prompt among answer, question"),
        (["dialogues"], "no column completion, prompt among dialogues; .* messages"),
    ],
)
def test_columns_that_lack_are_named(columns, message):
    with pytest.raises(InputError, match=f"rows: {message}"):
        read(dict.fromkeys(columns, "x"))


def test_a_file_says_which_of_its_rows(write_rows):
    path = write_rows([ROLLOUT, {**ROLLOUT, "reward": "x"}])
    with pytest.raises(InputError, match=r"rows\.jsonl row 2: reward is 'x'"):
        read_table(path)
