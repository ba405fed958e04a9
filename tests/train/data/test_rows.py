"""What a row of each layout is read as: prompt, completion, group."""

import datetime
import json
from collections import Counter

import pytest
from datasets import Dataset

from tests.helpers.rows import (
    ASK,
    NINE,
    PAIR,
    SEVEN,
    SIDES,
    SYSTEM,
    WHOLE,
    groups,
    parts,
    read,
    said,
    turn,
    user,
)
from train.data.table import table_of


@pytest.mark.parametrize(
    "row",
    [
        PAIR,
        WHOLE,
        {**WHOLE, "prompt": "How many?"},
        {**WHOLE, "prompt": "How many? "},
        {**WHOLE, "prompt": None},
        {**WHOLE, "prompt": [ASK]},
        {"prompt": "How many?", "chosen": [SEVEN], "rejected": [NINE]},
        {"prompt": "How many?", "chosen": [SEVEN], "rejected": "Nine."},
        {"prompt": [ASK], "chosen": "Seven.", "rejected": "Nine."},
        {"prompt": "How many?", "chosen": [ASK, SEVEN], "rejected": [NINE]},
    ],
)
def test_a_pair_is_a_conversation_where_any_part_of_it_is_one(row):
    assert parts(row) == SIDES
    assert groups(row) == ["How many?"] * 2


def test_text_stays_text():
    row = {"prompt": "Q? ", "chosen": "Q? A.", "rejected": "B."}
    assert parts(row) == [("Q? ", "Q? A."), ("Q? ", "B.")]


def test_what_both_conversations_share_is_the_prompt():
    more = [user("And goats?"), said("Two.")]
    other = [user("And goats?"), said("Three.")]
    row = {"chosen": [ASK, SEVEN, *more], "rejected": [ASK, SEVEN, *other]}
    expected = [ASK, SEVEN, more[0]]
    assert parts(row) == [(expected, more[1:]), (expected, other[1:])]
    assert parts({**row, "prompt": "How many?"}) == parts(row)
    # A prompt that is stated is not made longer by what completions begin with alike.
    stated = {"prompt": [ASK], "chosen": [SEVEN, *more], "rejected": [SEVEN, *other]}
    assert parts(stated) == [([ASK], [SEVEN, *more]), ([ASK], [SEVEN, *other])]


def test_sides_that_part_early_keep_all_their_turns():
    more = [user("Why not?"), said("Because.")]
    row = {"chosen": [ASK, SEVEN], "rejected": [ASK, NINE, *more]}
    assert parts(row) == [([ASK], [SEVEN]), ([ASK], [NINE, *more])]
    # One goes on where the other ends.
    row = {"chosen": [ASK, SEVEN], "rejected": [ASK, SEVEN, *more]}
    assert parts(row) == [([ASK], [SEVEN]), ([ASK], [SEVEN, *more])]
    assert parts({"chosen": [ASK, SEVEN], "rejected": [ASK, SEVEN]})[0] == ([ASK], [SEVEN])


def test_turns_are_the_same_whenever_they_were_said():
    def at(day):
        return {**ASK, "timestamp": datetime.datetime(2024, 1, day), "id": day}

    row = {"chosen": [at(1), SEVEN], "rejected": [at(2), NINE]}
    chosen, rejected = read(row)
    assert chosen.prompt == [{**ASK, "timestamp": "2024-01-01T00:00:00", "id": 1}]
    assert (rejected.prompt, rejected.completion) == (chosen.prompt, [NINE])
    rows = [{"prompt": [at(day)], "completion": "x", "label": True} for day in (3, 4)]
    assert groups(*rows) == ["How many?"] * 2


def test_a_completion_is_all_turns_from_the_assistants_first_to_its_last():
    call = said("", tool_calls=[{"function": {"name": "count", "arguments": {"of": "sheep"}}}])
    turns = [call, turn("tool", "7", name="count"), SEVEN]
    row = {"prompt": [ASK], "completion": turns, "label": True}
    assert parts(row) == [([ASK], turns)]
    assert parts({**row, "completion": [ASK, *turns]}) == [([ASK], turns)]
    silent = [{**call, "content": None}, *turns[1:]]  # as OpenAI's own format has it
    assert parts({**row, "completion": silent}) == [([ASK], turns)]
    assert parts({**row, "completion": [*turns, user("Thanks.")]}) == [([ASK], turns)]
    assert parts({**PAIR, "chosen": turns}) == [([ASK], turns), ([ASK], [NINE])]


def test_messages_are_a_demonstration_of_every_turn_of_the_assistant():
    turns = [SYSTEM, ASK, SEVEN, user("Sure?"), said("Yes.")]
    (row,) = read({"messages": turns})
    assert (row.prompt, row.completion, row.reward) == (turns[:2], turns[2:], 1.0)
    (row,) = read({"messages": turns[1:], "system": "Be brief.", "label": False, "prompt": "x"})
    assert (row.prompt, row.completion, row.reward) == (turns[:2], turns[2:], -1.0)


def test_the_same_prompt_is_one_group_as_text_and_as_messages():
    rows = [
        {"prompt": [user("Q?")], "completion": "A.", "reward": 1},
        {"prompt": "Q?", "completion": "B.", "reward": -1},
        {"prompt": "Q?", "completion": [said("C.")], "reward": -1},
        {"prompt": "Q?", "completion": "D.", "reward": -1, "system": "Be brief."},
        {"prompt": "Q?", "completion": "E.", "reward": -1, "tools": [{"name": "f"}]},
        {"prompt": "Q?", "completion": "F.", "reward": -1, "group_id": 3},
    ]
    found = groups(*rows)
    assert found[:3] == ["Q?"] * 3
    assert len(set(found)) == 4
    assert found[5] == 3
    assert [type(t.prompt) for t in read(*rows)] == [list, str, list, list, list, str]


@pytest.mark.parametrize("prompt", [[ASK], "How many?"])
def test_a_system_column_opens_the_conversation(prompt):
    row = {**PAIR, "prompt": prompt, "system": "Be brief."}
    assert parts(row) == [([SYSTEM, ASK], [SEVEN]), ([SYSTEM, ASK], [NINE])]
    assert parts({**WHOLE, "system": "Be brief."}) == parts(row)
    text = {"prompt": "How many?", "completion": "Seven.", "reward": 1}
    assert parts({**text, "system": "Be brief."}) == [([SYSTEM, ASK], [SEVEN])]
    assert parts({**text, "system": ""}) == [([ASK], [SEVEN])]  # as the other rows of its file
    assert parts({**text, "system": None}) == [("How many?", "Seven.")]
    both = {**PAIR, "prompt": [SYSTEM, ASK], "system": "Be brief."}
    assert parts(both) == parts(row)


def test_what_a_template_takes_besides_messages_goes_with_the_row():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"default": None}}}]
    row = {**PAIR, "tools": tools, "documents": [{"title": "t", "text": "x"}],
           "chat_template_kwargs": {"enable_thinking": False}}  # fmt: skip
    expected = {"tools": tools, "documents": row["documents"], "enable_thinking": False}
    assert [t.template for t in read(row)] == [expected] * 2
    packed = {name: json.dumps(row[name]) for name in ("tools", "chat_template_kwargs")}
    assert read({**row, **packed}) == read(row)
    for nothing in (None, [], "", "[]"):
        assert read({**PAIR, "tools": nothing})[0].template == {}


def test_reasoning_has_both_names_that_templates_know():
    for name in ("thinking", "reasoning_content"):
        (row,) = read({"prompt": [ASK], "completion": [said("7", **{name: "I count."})]})
        assert row.completion == [said("7", thinking="I count.", reasoning_content="I count.")]


def test_what_is_null_in_a_message_is_not_there():
    """Parquet gives every message the fields that any has."""
    call = said("x", tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}])
    other = said("y", tool_calls=[{"function": {"name": "g", "arguments": {"b": 2}}}])
    rows = [
        {"prompt": [ASK, one, turn("tool", "1")], "completion": [two], "label": True}
        for one, two in ((call, other), (other, call))
    ]
    assert [t[:2] for t in table_of(Dataset.from_list(rows), "x").trajectories()] == parts(*rows)
    assert parts({"prompt": [{**ASK, "name": None}], "completion": "7"})[0][0] == [ASK]


def test_other_names_of_roles():
    row = {"prompt": [turn("human", "Q?")], "chosen": [turn("gpt", "A.")],
           "rejected": [turn("model", "B.")]}  # fmt: skip
    expected = [([turn("human", "Q?")], [said("A.")]), ([turn("human", "Q?")], [said("B.")])]
    assert parts(row) == expected


OPENING = "\n\nHuman: How many?\n\nAssistant:"


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        (" Seven.", " Nine.", OPENING),
        (" Seven.", " Seven.", OPENING),
        (" 7\n\nHuman: Sure?\n\nAssistant: Yes.", " 7\n\nHuman: Sure?\n\nAssistant: No.",
         OPENING + " 7\n\nHuman: Sure?\n\nAssistant:"),
        (" Say \"Assistant: me\".", "", OPENING),
    ],
)  # fmt: skip
def test_dialogues_in_plain_text_are_split_after_the_last_assistant_they_share(
    chosen, rejected, prompt
):
    row = {"chosen": OPENING + chosen, "rejected": OPENING + rejected}
    assert [p for p, _ in parts(row)] == [prompt] * 2
    assert [p + c for p, c in parts(row)] == [row["chosen"], row["rejected"]]


def test_dialogues_that_part_early_are_left_out_and_counted():
    right = {"chosen": OPENING + " Seven.", "rejected": OPENING + " Nine."}
    early = {**right, "chosen": OPENING + " 7\n\nHuman: Sure?\n\nAssistant: Yes."}
    apart = {**right, "chosen": right["chosen"].replace("many", "much")}
    table = table_of([right, early, apart, early], "rows")
    left_out = Counter()
    (batch,) = table.batches(left_out)
    assert [t.where for t in batch] == ["rows row 1"] * 2
    assert left_out == {"of dialogues in plain text that part before the last answer": 4,
                        "of dialogues that share no prompt": 2}  # fmt: skip
