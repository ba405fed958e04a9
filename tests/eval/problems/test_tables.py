"""Files of problems, read as they were written."""

import gzip
import json
from decimal import Decimal

import pandas as pd
import pytest

from eval.problems.files import load_problems
from objectives.errors import InputError


@pytest.fixture
def answers(tmp_path):
    """Return a function that writes a file and returns the gold answers in it."""

    def read(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [problem.answer for problem in load_problems(path)]

    return read


LINE = '{"question": "How many?", "answer": %s}'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("987654321098765432109876543210", "987654321098765432109876543210"),
        ("0.98765432109876543", "0.98765432109876543"),
        ("9007199254740995", "9007199254740995"),
        ("1e-9", "1e-9"),
        ("1E21", "1E21"),
        ("-0.50", "-0.50"),
        ("12.0", "12"),
        ('"008"', "008"),
        ('"2023-02-07"', "2023-02-07"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_numbers_of_json_keep_their_digits(answers, written, expected):
    beside = LINE % "0.25"  # a column of both kinds
    assert answers("set.jsonl", f"{LINE % written}\n{beside}\n") == [expected, "0.25"]
    assert answers("set.json", f"[{LINE % written}, {beside}]") == [expected, "0.25"]


def test_a_byte_order_mark_is_no_text(answers):
    row = LINE % '"7"'
    assert answers("set.jsonl", "\ufeff" + row) == ["7"]
    assert answers("set.json", f"\ufeff[{row}]") == ["7"]
    assert answers("set.csv", "\ufeffquestion,answer\nHow many?,7\n") == ["7"]


def test_csv_holds_text_alone(answers):
    text = (
        'question,answer\nWho?,None\n"Sodium, as a symbol?",NA\nHow?,nan\nId?,007\n"a\nb?",1.50\n'
    )
    assert answers("set.csv", text) == ["None", "NA", "nan", "007", "1.50"]
    with pytest.raises(InputError, match="row 2: no answer"):
        answers("set.csv", "question,answer\na?,1\nb?,\n")
    with pytest.raises(InputError, match="row 1 has more cells"):
        answers("set.csv", "question,answer\na?,1,2\n")


def test_lines_end_at_line_feeds_alone(answers):
    row = json.dumps({"question": "a\u2028b\x85c?", "answer": "7"}, ensure_ascii=False)
    assert answers("set.jsonl", f"{row}\r\n\n{row}\n\n") == ["7", "7"]


def test_half_a_character_becomes_the_replacement_character(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"question": "a \\ud83d b \\ud83d\\ude00?", "answer": "7"}')
    assert load_problems(path)[0].question == "a \ufffd b \U0001f600?"


def test_parquet_keeps_integers_beside_missing_ones(tmp_path):
    path = tmp_path / "set.parquet"
    frame = pd.DataFrame({"question": ["a?", "b?"], "other": pd.array([1, None], dtype="Int64")})
    frame["answer"] = pd.array([9007199254740995, 4], dtype="Int64")
    frame.to_parquet(path)
    assert [p.answer for p in load_problems(path)] == ["9007199254740995", "4"]
    pd.DataFrame({"question": ["a?"], "answer": [Decimal("2.50")]}).to_parquet(path)
    assert load_problems(path)[0].answer == "2.50"
    pd.DataFrame({"question": ["a?"], "answer": [["3", "4"]]}).to_parquet(path)
    assert load_problems(path)[0].answer == "3, 4"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.tsv", 'question\tanswer\na, b?\t1\n"c\td?"\t2\n'),
        ("set.tsv", "a,b\tquestion\tanswer\n0\ta?\t1\n0\tb?\t2\n"),
        ("set.jsonl", f"{LINE % 1}\n{LINE % 2}\n"),
        ("set.ndjson", f"{LINE % 1}\n{LINE % 2}\n"),
        ("set.json", f"[{LINE % 1}, {LINE % 2}]"),
        ("set.csv", "\ufeffquestion,answer\na?,1\nb?,2\n"),
    ],
)
def test_packed_files_and_tabs(answers, name, content):
    assert answers(name, content) == ["1", "2"]
    assert answers(f"{name}.gz", gzip.compress(content.encode())) == ["1", "2"]
    with pytest.raises(InputError, match=rf"{name}.gz cannot be read as .*gz"):
        answers(f"{name}.gz", content)  # by its name alone
    with pytest.raises(InputError, match="cannot be read"):
        answers(f"{name}.gz", gzip.compress(content.encode())[:-9])  # cut short
    with pytest.raises(InputError, match=r"expected a file ending in .*; all but Parquet"):
        answers("set.parquet.gz", b"")


def test_json_by_columns(answers):
    assert answers("set.json", '{"question": ["a?", "b?"], "answer": [1, 2.5]}') == ["1", "2.5"]
    columns = '{"question": {"0": "a?", "1": "b?"}, "answer": {"0": "1", "1": "2"}}'
    assert answers("set.json", columns) == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.csv", "question;answer\na?, yes;1\nb?;2\n"),
        ("set.csv", "question\tanswer\na?\t1\nb?\t2\n"),
        ("set.csv", " Question , ANSWER \na?,1\nb?,2\n"),
        ("set.json", f"{LINE % 1}\n{LINE % 2}\n"),
        ("set.jsonl", f"[{LINE % 1}, {LINE % 2}]"),
        ("set.json", f'{{"version": "1", "data": [{LINE % 1}, {LINE % 2}]}}'),
    ],
)
def test_files_of_other_programs(answers, name, content):
    assert answers(name, content) == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("set.jsonl", '{"question": "a?", "answer": "1"}\n{"question"\n', "line 2"),
        ("set.jsonl", "[1]\n", "line 1 is no object"),
        ("set.csv", "question,question,answer\na?,b?,1\n", "two columns are called question"),
        ("set.json", "3", "expected a list of objects"),
        ("set.json", '{"question": "a?"}', "expected a list of objects"),
        ("set.jsonl", (LINE % "NaN"), "row 1: no answer in the column answer"),
        ("set.jsonl", '{"question": 12, "answer": "1"}', "row 1: no text in the column question"),
        ("set.jsonl", (LINE % "1").encode("utf-16"), "cannot be read as .jsonl"),
    ],
)
def test_what_cannot_be_read_is_said(answers, name, content, message):
    with pytest.raises(InputError, match=message):
        answers(name, content)
