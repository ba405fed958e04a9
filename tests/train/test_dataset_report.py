"""`python -m train.dataset_report`: what data are read as, in numbers and as tokens."""

import io

import pytest

from train import dataset_report
from train.data.marked import marked
from train.data.report import described, report_of
from train.data.table import table_of
from train.data.tokens import Tokens
from train.models.load import load_model

PAIR = {"prompt": "1+2=", "chosen": "#3", "rejected": "1+3=4;#4", "images": []}
EARLY = {"chosen": "Human: a\nAssistant: b", "rejected": "Human: c\nAssistant: d"}


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("builtin")[1]


def test_figures_of_pairs(tokenizer):
    rows = [
        PAIR,
        {**PAIR, "prompt": "2+2="},
        {**PAIR, "rejected": "1" * 40},
        {**PAIR, "chosen": ""},
    ]
    report = report_of(table_of(rows, "x"), tokenizer, 30, show=3)
    assert (report.kind, report.rows, report.trajectories, report.pairs) == ("pairs", 4, 7, 3)
    assert (report.correct, report.groups, report.unused) == (4, 2, ("images",))
    assert report.left_out == {"longer than 30 tokens": 1}
    assert report.examples == {"longer than 30 tokens": ["x row 3"]}
    assert report.ends == {"<eos>": 7}
    assert report.lengths["prompt"].tolist() == [4] * 8
    assert report.lengths["both"].tolist() == [7, 13, 7, 13, 7, 45, 5, 13]
    assert [row.where for row, _ in report.first] == ["x row 1", "x row 1", "x row 2"]


def test_rows_that_are_left_out_in_reading_are_rows_too(tokenizer):
    dialogue = {"chosen": "Human:\nAssistant:", "rejected": "Human:\nAssistant:"}
    table = table_of([dialogue, EARLY], "x")
    report = report_of(table, tokenizer, 30)
    assert (report.rows, report.left_out["of dialogues that share no prompt"]) == (2, 2)


def test_figures_of_rollouts(tokenizer):
    one = {"prompt": "1+2=", "completion": "#3", "reward": 1}
    rows = [one, {**one, "reward": 0}, {**one, "reward": -1}, {**one, "prompt": "2+2="},
            {**one, "truncated": True}, {**one, "prompt": "1+" * 20}]  # fmt: skip
    report = report_of(table_of(rows, "x"), tokenizer, 30)
    assert (report.kind, report.rows, report.trajectories, report.groups) == ("rollouts", 6, 5, 2)
    assert (report.pairs, report.correct) == (2, 3)
    assert report.ends == {"<eos>": 4, "cut off": 1}
    assert report.examples == {"prompt of 30 tokens or more": ["x row 6"]}


def test_what_there_is_to_say_of_the_template():
    tokenizer = load_model("builtin")[1]
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}={% endfor %}"
    turn = {"role": "assistant", "content": "3", "reasoning_content": "x"}
    table = table_of([{"prompt": "1+2", "completion": [turn], "tools": [{"name": "f"}]}], "x")
    lines = described(report_of(table, tokenizer, 30)).splitlines()
    said = [line.removeprefix("template").strip() for line in lines if line.startswith("template")]
    assert any(line.startswith("turns end in") for line in said)
    assert any(line.startswith("not used: tools of 1 trajectory") for line in said)


def test_what_is_trained_stands_out(tokenizer):
    ids = tokenizer("1+2=#3")["input_ids"]
    tokens = Tokens(ids[:4], ids[4:])
    assert marked(tokens, tokenizer, colour=False) == "1·+·2·=«#·3»"
    masked = Tokens(ids[:2], ids[2:], [True, False, False, True])
    assert marked(masked, tokenizer, colour=False) == "1·+«2»=·#«3»"
    shown = marked(masked, tokenizer, colour=True)
    assert shown == "\x1b[2m1·+\x1b[0m\x1b[1;32m2\x1b[0m\x1b[2m=·#\x1b[0m\x1b[1;32m3\x1b[0m"


def test_of_long_trajectories_one_sees_where_the_prompt_ends(tokenizer):
    ids = tokenizer("1" * 300 + "2" * 300)["input_ids"]
    shown = marked(Tokens(ids[:300], ids[300:]), tokenizer, colour=False)
    assert shown.startswith("(180 tokens) ... 1·1·")
    assert "1·1«2·2" in shown
    assert shown.endswith("2·2» ... (180 tokens)")


def test_control_characters_do_not_reach_the_terminal():
    class Tokenizer:
        def decode(self, ids, **_):
            return {0: "\x1b[2J", 1: "a\nb"}[ids[0]]

    assert marked(Tokens([0], [1]), Tokenizer(), colour=False) == "\\x1b[2J«a↵b»"


def test_the_command_prints_figures_and_rows(call, write_rows):
    path = write_rows([PAIR, {**PAIR, "rejected": "1" * 40}])
    status, out, _ = call(dataset_report.main, f"{path} --max-tokens 30 --show 1")
    assert status == 0
    for line in (
        "rows          2 pairs", "trajectories  3, 66.7% correct", "pairs         1",
        f"left out      1 (longer than 30 tokens): {path} row 2",
        "not used      columns images", "ends in       '<eos>' 100.0%",
        f"{path} row 1, reward 1", "1·+·2·=«#·3·<eos>»",
    ):  # fmt: skip
        assert line in out.splitlines()
    assert "#·4" not in out
    cells = [line.split() for line in out.splitlines()]
    assert ["prompt", *"44444", "0.0%"] in cells
    assert [row[-1] for row in cells if row[:1] == ["both"]] == ["25.0%"]
    status, out, _ = call(dataset_report.main, f"{path} --show 0")
    assert (status, "«" in out) == (0, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: DATA"),
        ("nowhere.jsonl", "--data nowhere.jsonl: no such file"),
        ("builtin --show -1", "--show -1: must be 0 or more"),
        ("builtin --data-split test", "--data-split test: for a data set of the hub"),
        ("builtin --model ./nowhere", "--model ./nowhere"),
    ],
)
def test_mistakes_get_one_line(call, words, message):
    status, _, err = call(dataset_report.main, words)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


@pytest.mark.parametrize(
    ("tty", "variables", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals(tty, variables, colour, monkeypatch, write_rows):
    out = io.StringIO()
    out.isatty = lambda: tty
    for name, value in {"NO_COLOR": "", "TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.argv", ["command", write_rows([PAIR])])
    dataset_report.main()
    assert ("\x1b[1;32m#\x1b[1;36m3" in out.getvalue()) == colour
    assert ("«" in out.getvalue().split("row 1")[-1]) != colour


def test_graded_rewards_are_told_as_such(tokenizer):
    rows = [{"prompt": "1+1=", "completion": "#2", "reward": reward} for reward in (-0.5, 0.25, 2)]
    said = described(report_of(table_of(rows, "x"), tokenizer, 30))
    assert "3, rewards -0.5 to 2, mean 0.583, 66.7% above 0" in said
