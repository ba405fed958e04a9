"""Problems in the layouts of other trainers."""

import pandas as pd
import pytest

from eval.problems.files import load_problems
from objectives.errors import InputError

ASKED = [{"role": "user", "content": "How many?"}]


def test_verl(tmp_path, write_rows):
    row = {
        "data_source": "sums", "prompt": ASKED, "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "7"}, "extra_info": {"index": 0},
    }  # fmt: skip
    assert load_problems(write_rows([row])) == [("How many?", "7")]
    path = tmp_path / "set.parquet"
    pd.DataFrame([row]).to_parquet(path)
    assert load_problems(path) == [("How many?", "7")]


@pytest.mark.parametrize("column", ["answer", "solution", "ground_truth"])
def test_trl(write_rows, column):
    rows = [{"prompt": "How many?", column: "7"}, {"prompt": ASKED, column: "\\boxed{8}"}]
    assert load_problems(write_rows(rows)) == [("How many?", "7"), ("How many?", "8")]


def test_a_systems_words_come_before_the_question(write_rows):
    asked = [{"role": "system", "content": "Be brief."}, *ASKED]
    path = write_rows([{"prompt": asked, "answer": "7"}])
    assert load_problems(path)[0].question == "Be brief.\n\nHow many?"


def test_a_message_may_be_of_parts(write_rows):
    parts = [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]
    row = {"prompt": [{"role": "user", "content": parts}], "answer": "7"}
    assert load_problems(write_rows([row]))[0].question == "How many?"
    parts[0] = {"type": "image"}
    with pytest.raises(InputError, match="row 1: no text in the column prompt"):
        load_problems(write_rows([row]))


@pytest.mark.parametrize("roles", [["user", "assistant", "user"], ["user", "assistant"], ["tool"]])
def test_a_conversation_is_no_question(write_rows, roles):
    asked = [{"role": role, "content": "How many?"} for role in roles]
    path = write_rows([{"prompt": "a?", "answer": "1"}, {"prompt": asked, "answer": "7"}])
    with pytest.raises(InputError, match="row 2: the messages in the column prompt are of"):
        load_problems(path)
