"""Where rows come from: files of every kind, folders and patterns of them, the hub."""

import functools
import gzip
import json
from decimal import Decimal

import datasets
import pandas as pd
import pytest

from objectives.errors import InputError
from train.config import Config
from train.data import sources
from train.data.sources import rows_in_memory
from train.data.table import read_table
from train.run.setup import set_up

ROWS = [{"prompt": f"{n}+1=", "chosen": "#3", "rejected": "#4"} for n in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
ARRAY = json.dumps(ROWS, indent=1)
CSV = "prompt,chosen,rejected\n" + "".join(f"{n}+1=,#3,#4\n" for n in range(3))
FILES = {
    "rows.jsonl": LINES, "rows.ndjson": LINES, "lines.json": LINES, "array.json": ARRAY,
    "array.jsonl": "\n " + ARRAY, "rows.csv": CSV, "rows.tsv": CSV.replace(",", "\t"),
    "quoted.csv": CSV.replace("#3", '"#3"').replace("\n", "\r\n"),
}  # fmt: skip


def prompts(source):
    return [t.prompt for t in read_table(str(source)).trajectories()][::2]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", FILES)
def test_files_of_every_kind_hold_the_same(name, mark, packed, tmp_path):
    content = (mark + FILES[name]).encode()
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    table = read_table(str(path))
    assert prompts(path) == ["0+1=", "1+1=", "2+1="]
    assert [t.where for t in table.trajectories()][-1] == f"{path} row 3"
    assert {t.completion for t in table.trajectories()} == {"#3", "#4"}


def test_cells_of_csv_are_what_their_columns_hold(tmp_path):
    path = tmp_path / "rows.csv"
    turns = [{"role": "user", "content": "1+1="}]
    pd.DataFrame([
        {"prompt": "007", "completion": "NA", "reward": "1.50", "truncated": True, "weight": 2},
        {"prompt": json.dumps(turns), "completion": "", "reward": "-.5", "group_id": "a",
         "completion_ids": "[1, 2]"},
        {"prompt": 'say "1,\n2"', "completion": "3", "reward": "1e0", "truncated": "FALSE"},
    ]).to_csv(path, index=False)  # fmt: skip
    one, two, three = read_table(str(path)).trajectories()
    assert one[:7] == ("007", "NA", 1.5, "007", 2.0, True, None)
    assert two[:7] == (turns, [{"role": "assistant", "content": ""}], -0.5, "a", 1.0, False, [1, 2])
    assert three[:3] == ('say "1,\n2"', "3", 1.0)
    assert not three.truncated
    labels = tmp_path / "labels.csv"
    labels.write_text("prompt,completion,label\na,b,True\na,c,false\na,d,0\n")
    assert [t.reward for t in read_table(str(labels)).trajectories()] == [1, -1, -1]


def test_messages_of_csv(tmp_path):
    turns = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    path = tmp_path / "rows.csv"
    pd.DataFrame([{"messages": json.dumps(turns)}]).to_csv(path, index=False)
    (row,) = read_table(str(path)).trajectories()
    assert (row.prompt, row.completion) == (turns[:1], turns[1:])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "prompt,chosen,rejected\nq,a,b\nq,a,b,c\n", r"a.csv row 2: more cells than"),
        ("a.csv", "prompt,chosen,rejected\nq,a,b\n\nq,a\n", r"a.csv row 2: fewer cells than"),
        ("a.csv", "prompt;chosen;rejected\nq;a;b\n", r"a.csv: no column .* prompt;chosen;rejec"),
        ("a.csv", "prompt,chosen,rejected\n", r"a.csv holds no rows"),
        ("a.csv", "", r"a.csv holds no rows"),
        ("a.csv", "prompt,completion,reward\nq,a,good\n", r"a.csv row 1: reward is 'good'"),
        ("a.csv", "prompt,completion,reward\nq,a,\n", r"a.csv row 1: reward is None"),
        ("a.csv", "prompt,completion,reward\nq,a,nan\n", r"a.csv row 1: reward is nan"),
        ("a.csv", "prompt,completion,label\n\"[{'role': 'user'}]\",a,1\n", r"row 1: prompt is"),
        ("a.csv", b"prompt,completion,label\n\xe9,a,1\n", r"a.csv: not UTF-8"),
        ("a.json", "[1]", r"a.json row 1: expected an object with prompt"),
        ("a.json", '[{"prompt": 1}', r"a.json: not JSON"),
        ("a.json", "[]", r"a.json holds no rows"),
        ("a.json", '{\n"train": []}', r"a.json line 1: not JSON"),
        ("a.jsonl", "[" * 100_000, r"a.jsonl: not JSON"),
        ("a.jsonl", '{"a":' * 100_000, r"a.jsonl line 1: not JSON"),
        ("a.jsonl", "3\n", r"a.jsonl line 1: expected an object"),
        ("a.jsonl", b'{"prompt": "\xe9"}', r"a.jsonl line 1: not JSON"),
        ("a.jsonl.gz", LINES, r"a.jsonl.gz cannot be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-12], r"cannot be read: Compressed"),
        ("a.parquet", b"PAR1 not really", r"a.parquet is not a readable Parquet file"),
        ("a.txt", LINES, r"a.txt: expected a file ending in .jsonl, .json"),
        ("a.parquet.gz", b"", r"expected a file ending in"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_named(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_table(str(path))


def test_a_folder_and_a_pattern_are_all_their_files_in_the_order_of_names(tmp_path):
    for number, row in enumerate(ROWS):
        (tmp_path / f"part-{2 - number}.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "more.csv").write_text(CSV)
    assert prompts(tmp_path) == ["2+1=", "1+1=", "0+1="]
    assert prompts(tmp_path / "part-[01]*") == ["2+1=", "1+1="]
    assert len(prompts(tmp_path / "**" / "*.*[lv]")) == 6
    table = read_table(str(tmp_path))
    assert [t.where for t in table.trajectories()][::2] == [
        f"{tmp_path}/part-{n}.jsonl row 1" for n in range(3)
    ]
    assert table.source.identity() != read_table(f"{tmp_path}/part-[01]*").source.identity()
    (tmp_path / "part-3.jsonl").write_text('{"prompt": "x", "chosen": "y", "rejected": 5}\n')
    with pytest.raises(InputError, match=r"part-3.jsonl row 1: rejected is 5"):
        list(read_table(str(tmp_path)).trajectories())


def test_folders_and_patterns_without_what_is_wanted(tmp_path):
    with pytest.raises(InputError, match=r"no file in it ends in .jsonl"):
        read_table(str(tmp_path))
    with pytest.raises(InputError, match=r"no file has such a name"):
        read_table(f"{tmp_path}/*.jsonl")
    for name in ("train-00000.jsonl", "test-00000.jsonl"):
        (tmp_path / name).write_text(LINES)
    with pytest.raises(InputError, match=r"several splits .test-00000.jsonl .*/train\*'"):
        read_table(str(tmp_path))
    assert len(prompts(f"{tmp_path}/train*")) == 3
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes.txt: expected a file ending in"):
        read_table(f"{tmp_path}/*")


def test_how_many_rows_of_several_files_is_known_where_it_is_of_each(tmp_path):
    for name in ("a", "b"):
        pd.DataFrame(ROWS).to_parquet(tmp_path / f"{name}.parquet")
    assert read_table(str(tmp_path)).count == 12
    assert read_table(f"{tmp_path}/a.parquet").count == 6
    (tmp_path / "c.jsonl").write_text(LINES)
    assert read_table(str(tmp_path)).count is None
    assert len(prompts(tmp_path)) == 9


def test_kinds_of_parquet_columns(tmp_path):
    path = tmp_path / "rows.parquet"
    when = pd.Timestamp("2024-01-02 03:04:05")
    pd.DataFrame([
        {"prompt": [{"role": "user", "content": "Q?", "at": when}], "completion": b"A.",
         "reward": Decimal("0.5"), "thumbnail": b"\xff\xd8"},
    ]).to_parquet(path)  # fmt: skip
    (row,) = read_table(str(path)).trajectories()
    assert row.prompt == [{"role": "user", "content": "Q?", "at": "2024-01-02T03:04:05"}]
    assert (row.completion[0]["content"], row.reward, row.group) == ("A.", 0.5, "Q?")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A data set as the hub has them: configurations, and splits of other names."""
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train_prefs\n"
        "    path: a.jsonl\n  - split: test\n    path: a.jsonl\n"
        "- config_name: problems\n  data_files:\n  - split: test\n    path: b.jsonl\n---\n"
    )
    (tmp_path / "a.jsonl").write_text(LINES)
    (tmp_path / "b.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n')
    load = functools.partial(datasets.load_dataset, str(tmp_path), cache_dir=str(tmp_path / "c"))
    monkeypatch.setattr(sources, "load_dataset", lambda _, *words, **named: load(*words, **named))


def test_configuration_and_split_of_a_data_set_of_the_hub(hub):
    table = read_table("someone/prefs", "main", "train_prefs")
    assert [t.where for t in table.trajectories()][-1] == "someone/prefs row 3"
    for asked, message in (
        ((None, None), "needs a configuration: --data-config takes main, problems"),
        (("none", None), "has no configuration none: --data-config takes main, problems"),
        (("main", None), "has no split train: --data-split takes train_prefs, test"),
        (("main", "tests"), "has no split tests: --data-split takes train_prefs, test"),
    ):
        with pytest.raises(InputError, match=f"--data someone/prefs: it {message}"):
            read_table("someone/prefs", *asked)


def test_problems_of_the_hub_are_trained_on_online(hub):
    config = Config(
        data="someone/problems", data_config="problems", data_split="test", online=True,
        online_max_new_tokens=4, online_samples=2, batch_size=2, eval_problems="none",
    )  # fmt: skip
    setup = set_up(config)
    assert [p.question for p in setup.sampler.problems.problems] == ["1+1?"]


@pytest.mark.parametrize("flag", ["data_config", "data_split"])
def test_files_have_no_configuration_and_no_split(flag, write_rows):
    path = write_rows(ROWS)
    name = f"--{flag.replace('_', '-')} main: for a data set of the hub"
    for config in (Config(data=path, **{flag: "main"}), Config(**{flag: "main"}),
                   Config(data=path, online=True, **{flag: "main"})):  # fmt: skip
        with pytest.raises(InputError, match=name):
            set_up(config)
    with pytest.raises(InputError, match=f"{name}, and rows from Python"):
        set_up(Config(**{flag: "main"}), data=ROWS)


def test_a_data_set_is_known_by_its_content(tmp_path):
    """Not by when its file was written, nor by how its rows lie in memory."""
    rows = [{"prompt": f"{n}", "completion": "1", "reward": n / 2, "ids": [n, n]} for n in range(5)]
    make = datasets.Dataset.from_list
    make(rows).save_to_disk(tmp_path / "saved")
    sets = [
        make(rows),
        datasets.concatenate_datasets([make(rows[:2]), make(rows[2:])]),
        make(rows[::-1]).select([4, 3, 2, 1, 0]),
        make([rows[0], *rows]).select(range(1, 6)),
        datasets.load_from_disk(str(tmp_path / "saved")),
    ]
    own = {rows_in_memory(each, "rows").identity() for each in sets}
    assert len(own) == 1
    others = [rows[::-1], rows[:4], [{**rows[0], "ids": [0, 1]}, *rows[1:]],
              [{**row, "more": 1} for row in rows]]  # fmt: skip
    for other in others:
        own.add(rows_in_memory(make(other), "rows").identity())
    assert len(own) == 5
