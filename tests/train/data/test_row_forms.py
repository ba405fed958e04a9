"""Rows as other tools and well-known data sets write them: read as ours, or refused by name."""

import json

import numpy as np
import pandas as pd
import pytest

from objectives.errors import InputError
from tests.helpers.rows import (
    ASK,
    NINE,
    PAIR,
    SEVEN,
    SIDES,
    SYSTEM,
    groups,
    parts,
    read,
    said,
    user,
)
from train.data.layouts import layout_of
from train.data.table import read_table, table_of


def human(text):
    return {"from": "human", "value": text}


def gpt(text, **more):
    return {"from": "gpt", "value": text, **more}


MORE = [user("And goats?"), said("Two.")]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "How many?", "chosen": [SEVEN], "rejected": [NINE]},
        {"question": "How many?", "chosen": "Seven.", "rejected": "Nine.", "system": ""},
        {"input": "How many?", "chosen": "Seven.", "rejected": "Nine.", "system": ""},
        {"instruction": "How many?", "chosen_response": "Seven.", "rejected_response": "Nine.",
         "system": "", "response": "x"},
        {"chosen": [human("How many?"), gpt("Seven.")],
         "rejected": [human("How many?"), gpt("Nine.", weight=None)]},
        {name: json.dumps(value) for name, value in PAIR.items()},
        {**PAIR, "prompt": [user([{"type": "text", "text": "How "}, {"text": "many?"}])],
         "rejected": [said(["Ni", "ne."])]},
        {name: np.array(value, dtype=object) for name, value in PAIR.items()},
        {name: tuple(value) for name, value in PAIR.items()},
    ],
)  # fmt: skip
def test_a_pair_in_the_form_of_others_is_the_same_pair(row):
    assert parts(row) == SIDES
    assert groups(row) == ["How many?"] * 2


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [human("How many?"), gpt("Seven.")]},
        {"conversations": [{"from": "user", "value": "How many?"},
                           {"from": "assistant", "value": "Seven."}]},
        {"conversations": [ASK, SEVEN], "id": 3},
        {"messages": [human("How many?"), gpt("Seven.")]},
        {"messages": json.dumps([ASK, SEVEN])},
        {"messages": [user([{"type": "text", "text": "How many?"}]), SEVEN], "response": "x"},
        {"prompt": [ASK], "response": "Seven.", "helpfulness": 3},
        {"problem": [ASK], "output": [SEVEN]},
        {"instruction": json.dumps([ASK]), "completion": "Seven."},
    ],
)  # fmt: skip
def test_a_demonstration_in_the_form_of_others_is_the_same(row):
    (found,) = read(row)
    assert (found.prompt, found.completion, found.reward) == ([ASK], [SEVEN], 1.0)


def test_a_system_turn_of_sharegpt_opens_the_conversation():
    turns = [{"from": "system", "value": "Be brief."}, human("How many?"), gpt("Seven.")]
    assert parts({"conversations": turns}) == [([SYSTEM, ASK], [SEVEN])]
    assert parts({"conversations": turns[1:], "system": "Be brief."}) == [([SYSTEM, ASK], [SEVEN])]
    turns += [{"from": "observation", "value": "7"}, gpt("Yes.")]
    _, completion = parts({"conversations": turns})[0]
    assert completion == [SEVEN, {"role": "tool", "content": "7"}, said("Yes.")]


def test_a_prompt_may_be_the_last_question_of_conversations():
    row = {"prompt": "And goats?", "chosen": [ASK, SEVEN, *MORE],
           "rejected": [ASK, SEVEN, MORE[0], NINE]}  # fmt: skip
    prompt = [ASK, SEVEN, MORE[0]]
    assert parts(row) == [(prompt, [MORE[1]]), (prompt, [NINE])]
    rollout = {"prompt": "And goats?", "completion": row["chosen"], "label": True}
    assert parts(rollout) == [(prompt, [MORE[1]])]


def test_names_of_columns_are_said():
    layout = layout_of("rows", [{"question": "Q?", "chosen": "A.", "rejected": "B.", "id": 1}])
    assert layout.notes == ["column question is read as prompt", "columns not used: id"]
    # Ours stand, whatever else there is.
    for own in ({"prompt": "Q?", "completion": "A.", "response": "x", "question": "y"},
                {"messages": [ASK, SEVEN], "conversations": [], "problem": "P", "output": "x"},
                {"prompt": "Q?", "chosen": "A.", "rejected": "B.", "question": "y"}):  # fmt: skip
        assert not layout_of("rows", [own]).names
    layout = layout_of("rows", [{"prompt": "Q?", "completion": "A.", "reward": 1, "label": True}])
    assert layout.notes == ["columns not used: label"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"instruction": "Q?", "input": "x", "output": "A."},
         "rows: the prompt may be in column instruction or input: call the one .* prompt"),
        ({"prompt": "Q?", "response": "A.", "output": "B."},
         "rows: the completion may be in column response or output"),
        ({"question": 3, "chosen": "A.", "rejected": "B."},
         "rows row 1: prompt is 3, expected text .* .column question is read as prompt."),
        ({"conversations": [human("Q?"), {"from": "function_call", "value": "{}"}, gpt("A.")]},
         "rows row 1: messages message 2: from is 'function_call', expected one of human"),
        ({"conversations": [gpt("Hi."), human("Q?"), gpt("A.")]},
         "rows row 1: messages begins with the assistant's turn"),
        ({**PAIR, "prompt": [user([{"type": "image"}, {"type": "text", "text": "x"}])]},
         "rows row 1: prompt message 1: content has a part of type 'image', expected text alone"),
        ({"messages": [ASK, said([{"type": "image_url", "image_url": {"url": "x"}}])]},
         "rows row 1: messages message 2: content has a part of type 'image_url'"),
        ({"messages": [ASK, said([{"type": "text", "text": None}])]},
         "rows row 1: messages message 2: content has a part of type 'text'"),
        ({"messages": [ASK, said([])]}, "rows row 1: messages message 2: content is .., expected"),
        ({**PAIR, "prompt": str([ASK])}, "rows row 1: prompt is .* in Python's notation, .* JSON"),
        ({"prompt": "Q?", "solution": "A.", "reward_model": {"ground_truth": "3"}},
         "rows: no column completion .*; problems with answers are for --online"),
        ({"question": "Q?", "answer": "3"}, "rows: no column .*; problems with answers are for"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(row, message):
    with pytest.raises(InputError, match=message):
        read(row)


@pytest.mark.parametrize("text", ["[{", '[{"a": 1}]', '[{"role": 3', "[{'a': 1}] is a list"])
def test_text_that_looks_like_messages_and_is_none_stays_text(text):
    assert parts({"prompt": text, "completion": "A.", "reward": 1}) == [(text, "A.")]


def test_rows_of_pandas_are_read_with_their_gaps(tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame([
        {"prompt": [ASK], "completion": [SEVEN], "reward": 1.0, "completion_ids": [1, 2]},
        {"prompt": [ASK], "completion": [NINE], "reward": -1.0, "group_id": 4, "system": "x"},
    ]).to_parquet(path)  # fmt: skip
    rows = pd.read_parquet(path).to_dict("records")
    assert isinstance(rows[0]["prompt"], np.ndarray)
    one, other = table_of(rows, "rows").trajectories()
    assert list(read_table(str(path)).trajectories()) == [
        one._replace(where=f"{path} row 1"), other._replace(where=f"{path} row 2")
    ]  # fmt: skip
    assert (one.group, one.token_ids, one.prompt) == ("How many?", [1, 2], [ASK])
    assert (other.group, other.token_ids, other.prompt[0]["content"]) == (4, None, "x")


def test_a_reward_that_comes_late_is_not_overlooked():
    rows = [{"prompt": "Q?", "completion": "A."}] * 300
    for late in ({"reward": -1.0}, {"label": False}):
        with pytest.raises(InputError, match="rows row 301: it has a reward or a label, and the"):
            read(*rows, {**rows[0], **late})
    assert len(read(*rows, {**rows[0], "reward": None})) == 301
