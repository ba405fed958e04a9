"""Evaluations kept as CSV are read back as they were."""

import json

import pytest

from eval.study.scores import (
    collect_scores,
    kept_scores,
    names_of,
    read_scores,
    together,
    write_scores,
)
from objectives.errors import InputError


def _evaluation(folder, rights, samples=2):
    """Write an evaluation of as many samples, `rights` of each problem being right."""
    folder.mkdir(parents=True)
    rows = [
        {"benchmark": "chains", "index": index, "sample": sample, "problem": f"{index}+1=",
         "gold": "1", "completion": "1", "correct": sample < right, "status": "ok"}
        for index, right in enumerate(rights) for sample in range(samples)
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "completions.jsonl").write_text(text)


def test_what_is_written_is_read_back(tmp_path):
    for name, rights in (("sft/-1/0", [0, 1, 2]), ("sft/0.5/0", [2, 2, 1]), ("sft/0.5/1", [1] * 3)):
        _evaluation(tmp_path / name, rights)
    names = ["sft/-1/0", "sft/0.5/0", "sft/0.5/1"]
    file = write_scores(collect_scores(names, tmp_path), "ahead", tmp_path)
    assert file.name == "ahead-scores.csv"
    found = read_scores("ahead", tmp_path)
    assert {key: scores.tolist() for key, scores in found.items()} == {
        ("sft", -1.0): [[0, 0.5, 1]],
        ("sft", 0.5): [[1, 1, 0.5], [0.5, 0.5, 0.5]],
    }


def test_what_a_digit_cannot_count_and_what_is_not_there_is_named(tmp_path):
    _evaluation(tmp_path / "sft/1/0", [3, 4], samples=12)
    with pytest.raises(InputError, match="at most 9 samples"):
        collect_scores(["sft/1/0"], tmp_path)
    with pytest.raises(InputError, match=r"none-scores\.csv: not there"):
        read_scores("none", tmp_path)


def test_new_evaluations_join_those_that_are_kept(tmp_path):
    assert names_of(kept_scores("ahead", tmp_path)) == set()
    _evaluation(tmp_path / "sft/0.5/0", [0, 1, 2])
    _evaluation(tmp_path / "sft/-1/0", [2, 2, 2])
    one, both = (collect_scores(names, tmp_path) for names in (["sft/0.5/0"], ["sft/-1/0"]))
    write_scores(together(kept_scores("ahead", tmp_path), one), "ahead", tmp_path)
    write_scores(together(kept_scores("ahead", tmp_path), both), "ahead", tmp_path)
    assert names_of(kept_scores("ahead", tmp_path)) == {"sft/0.5/0", "sft/-1/0"}
    assert read_scores("ahead", tmp_path)["sft", 0.5].tolist() == [[0, 0.5, 1]]
