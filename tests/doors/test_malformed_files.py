"""Malformed data, problems and recipes get one line from every command that reads them."""

import json

import pytest

from tests.doors.conftest import PROBLEMS, ROWS
from tests.helpers.malformed import broken_binary, broken_json, broken_lines, broken_packed, changed

LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ASKED = "".join(json.dumps(row) + "\n" for row in PROBLEMS).encode()
CSV = b"prompt,completion,reward\n1+2=,#3,1\n1+2=,#4,-1\n"
BAD_CSV = {
    "empty": b"", "columns alone": b"prompt,completion,reward\n", "binary": b"\x00\xff\xfe,\n" * 9,
    "a cell too many": CSV + b"1+3=,#4,1,1\n", "a cell too few": CSV + b"1+3=,#4\n",
    "no UTF-8": CSV + b"\xff,#4,1\n", "a reward in words": CSV + b"1+3=,#4,good\n",
    "UTF-16": CSV.decode().encode("utf-16"),
}  # fmt: skip
CELLS = {
    "reward": (None, "good", [], {}, 1e300, float("nan"), float("inf"), 10**400, -(10**400)),
    "prompt": (None, 3, {}, [], [{}], [{"role": 3, "content": 4}], [{"content": "x"}], [["x"]]),
    "completion": (None, 3, {}, [], [{"role": "user", "content": "x"}], [3], True),
    "group_id": ([], {}), "truncated": ("False", 3, [], {}),
    "weight": (-1, "x", float("nan"), 10**400),
    "completion_ids": ("x", [1.5], [-1], [2**31], [2**70], [None], {}, [[1]], [10**400]),
    "tools": (3, "x", [3]), "chat_template_kwargs": (3, [], "x"),
}  # fmt: skip


def cases():
    for name, content in broken_lines(LINES).items():
        yield f"data.jsonl {name}", "data.jsonl", content
    yield "data.jsonl empty", "data.jsonl", b""
    for name, content in broken_json(json.dumps(ROWS).encode()).items():
        yield f"data.json {name}", "data.json", content
    for name, content in broken_packed(LINES).items():
        yield f"data.jsonl.gz {name}", "data.jsonl.gz", content
    for name, content in broken_binary(b"PAR1" + LINES).items():
        yield f"data.parquet {name}", "data.parquet", content
    for name, content in BAD_CSV.items():
        yield f"data.csv {name}", "data.csv", content
    for column, values in CELLS.items():
        for number, value in enumerate(values):
            rows = [ROWS[0], {**ROWS[1], column: value}]
            content = "".join(json.dumps(row) + "\n" for row in rows).encode()
            yield f"{column} {value!r:.12} {number}", "data.jsonl", content


DATA = list(cases())


@pytest.mark.parametrize(("file", "content"), [c[1:] for c in DATA], ids=[c[0] for c in DATA])
def test_data(refused, file, content):
    refused(f"train.dataset_report {file}", {file: content})


SOME = [case for case in DATA if "empty" in case[0] or "deep" in case[0] or "UTF-16" in case[0]]


@pytest.mark.parametrize(("file", "content"), [c[1:] for c in SOME], ids=[c[0] for c in SOME])
@pytest.mark.parametrize(
    "words", ["train --objective fpa --steps 1 --data", "diagnostics.entanglement --data"]
)
def test_data_of_other_commands(refused, words, file, content):
    refused(f"{words} {file}", {file: content})


def problem_cases():
    for name, content in broken_lines(ASKED).items():
        yield f"asked.jsonl {name}", "asked.jsonl", content
    for name, content in broken_json(json.dumps(PROBLEMS).encode()).items():
        yield f"asked.json {name}", "asked.json", content
    for name, content in broken_binary(b"PAR1" + ASKED).items():
        yield f"asked.parquet {name}", "asked.parquet", content
    for name in ("empty", "columns alone", "binary", "a cell too many", "no UTF-8", "UTF-16"):
        content = BAD_CSV[name].replace(b"prompt,completion", b"question,answer")
        yield f"asked.csv {name}", "asked.csv", content
    for column in ("question", "answer"):
        for value in (None, [], "", " "):
            rows = [PROBLEMS[0], {**PROBLEMS[1], column: value}]
            content = "".join(json.dumps(row) + "\n" for row in rows).encode()
            yield f"{column} {value!r:.12}", "asked.jsonl", content


ASKING = list(problem_cases())


@pytest.mark.parametrize(("file", "content"), [c[1:] for c in ASKING], ids=[c[0] for c in ASKING])
def test_problems(refused, file, content):
    refused(f"eval --problems {file}", {file: content})


FEW = [case for case in ASKING if "empty" in case[0] or "deep" in case[0] or "UTF-16" in case[0]]


@pytest.mark.parametrize(("file", "content"), [c[1:] for c in FEW], ids=[c[0] for c in FEW])
@pytest.mark.parametrize(
    "words",
    [
        "train.rollouts --model builtin --out made.parquet --problems",
        "train.worked_answers --out made.jsonl --problems",
        "train --objective fpa --steps 1 --data rows.jsonl --eval-problems",
    ],
)
def test_problems_of_other_commands(refused, words, file, content):
    refused(f"{words} {file}", {file: content})


RECIPES = {
    "toml": {
        "a list": b"[1, 2]", "torn": b"steps = ", "deep": b"steps = " + b"[" * 100_000,
        "deep tables": b"[" + b".".join([b"a"] * 2000) + b"]\nb = 1", "binary": b"\x00\xff",
        "a number of 5,000 digits": b"steps = " + b"7" * 5000, "text": b'steps = "many"',
        "unknown": b"stepz = 3", "a table": b"[steps]\na = 1", "a date": b"steps = 2020-01-01",
        "negative": b"steps = -3", "huge": b"steps = 1" + b"0" * 30, "NaN": b"learning_rate = nan",
        "twice": b"steps = 1\nsteps = 2", "null": b"steps = null", "half": b"steps = 1.5",
        "UTF-16": "steps = 1".encode("utf-16"),
    },
    "json": {
        **broken_json(b'{"steps": 1, "batch_size": 2}'),
        **{
            repr(value)[:9]: changed({"steps": 1}, "steps", to=value)
            for value in (None, "many", [], {}, -3, 1.5, True, 10**30, 10**400, float("nan"))
        },
    },
}  # fmt: skip
NAMED = [(f"{kind} {name}", kind, content)
         for kind, found in RECIPES.items() for name, content in found.items()]  # fmt: skip


@pytest.mark.parametrize(("kind", "content"), [c[1:] for c in NAMED], ids=[c[0] for c in NAMED])
def test_recipes(refused, kind, content):
    refused(f"train --objective fpa --recipe mine.{kind}", {f"mine.{kind}": content})


BROKEN = [case for case in NAMED if "deep" in case[0] or "UTF-16" in case[0] or "huge" in case[0]]


@pytest.mark.parametrize(("kind", "content"), [c[1:] for c in BROKEN], ids=[c[0] for c in BROKEN])
def test_recipes_of_the_other_command(refused, kind, content):
    refused(f"train.memory --recipe mine.{kind}", {f"mine.{kind}": content})
