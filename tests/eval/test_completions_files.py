"""Files of completions, as they come from elsewhere."""

import json

import pytest

from eval.completions import CompletionsFolder, read_rows
from objectives.errors import InputError


def row(text):
    return {"benchmark": "set", "index": 0, "sample": 0, "problem": "a?", "gold": "1",
            "completion": text}  # fmt: skip


@pytest.mark.parametrize("text", ["so \\boxed{1}", "so\u2028that \x85 \u2029 is \\boxed{1}"])
def test_a_byte_order_mark_other_line_ends_and_blank_lines(tmp_path, text):
    line = json.dumps(row(text), ensure_ascii=False)
    path = tmp_path / "completions.jsonl"
    path.write_text(f"\ufeff{line}\r\n\n{line}\n\n", encoding="utf-8", newline="")
    assert [kept["completion"] for kept in read_rows(path)] == [text, text]


def test_only_a_line_without_its_end_is_torn(tmp_path):
    path = tmp_path / "completions.jsonl"
    path.write_text(json.dumps(row("x")) + '\n{"bench')
    assert len(read_rows(path, torn_end=True)) == 1
    with pytest.raises(InputError, match="line 2: not JSON"):
        read_rows(path)
    path.write_text('{"bench\n' + json.dumps(row("x")) + "\n")
    with pytest.raises(InputError, match="line 1: not JSON"):
        read_rows(path, torn_end=True)


@pytest.mark.parametrize("verdict", ["null", "NaN", '"true"', "1"])
def test_a_verdict_that_is_none_is_named_where_it_counts(tmp_path, verdict):
    good = row("x") | {"correct": True, "status": "ok"}
    folder = CompletionsFolder(tmp_path / "kept", {})
    folder.append([good, good])
    text = folder.file.read_text()
    folder.file.write_text(text + json.dumps(good).replace("true", verdict) + "\n")
    with pytest.raises(InputError, match=rf"line 3: correct is {verdict}, neither true nor false"):
        CompletionsFolder(tmp_path / "kept", {})
    assert len(read_rows(folder.file)) == 3  # to be graded again
