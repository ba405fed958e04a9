"""`python -m train.rollouts` and `python -m train.worked_answers`, with the built-in model."""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from train import worked_answers
from train.data.table import read_table
from train.rollouts import __main__ as rollouts
from train.rollouts import sampled

PROBLEMS = [{"question": f"{n}+2=", "answer": str(n + 2)} for n in range(1, 6)]


@pytest.fixture
def run(call):
    return lambda module, words: call(module.main, words)


SAMPLE = "--model builtin --samples 2 --batch-size 4 --max-new-tokens 6 --temperature 1"


def test_rollouts_are_graded_and_train(run, write_rows, tmp_path, monkeypatch):
    problems = write_rows(PROBLEMS)
    # The built-in model knows no words: what it says is digits, which are graded all the same.
    monkeypatch.setattr(sampled, "word_problem_prompt", lambda tokenizer, question: question)
    status, out, _ = run(rollouts, f"{SAMPLE} --problems {problems} --out all.parquet")
    assert status == 0
    assert "10 completions of 5 problems" in out
    table = pd.read_parquet(tmp_path / "all.parquet")
    assert list(table["group_id"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert set(table["reward"]) <= {-1.0, 1.0}
    assert not (tmp_path / "all.parquet.parts").exists()
    trajectories = read_table(str(tmp_path / "all.parquet")).trajectories()
    assert [t.token_ids for t in trajectories] == [list(ids) for ids in table["completion_ids"]]


def test_an_interrupted_run_goes_on_and_ends_the_same(run, write_rows, tmp_path, monkeypatch):
    problems = write_rows(PROBLEMS)
    run(rollouts, f"{SAMPLE} --problems {problems} --out whole.parquet")
    sample, numbers = sampled.sample_part, []

    def interrupted(model, tokenizer, group, *rest):
        numbers.append(group[0][0])
        if len(numbers) == 2:
            raise KeyboardInterrupt
        return sample(model, tokenizer, group, *rest)

    monkeypatch.setattr(sampled, "sample_part", interrupted)
    status, _, err = run(rollouts, f"{SAMPLE} --problems {problems} --out parts.parquet")
    assert status == 130
    assert "interrupted" in err
    status, _, err = run(rollouts, f"{SAMPLE} --problems {problems} --out parts.parquet --seed 1")
    assert status == 2
    assert "parts sampled with other settings (seed 0 there, 1 now)" in err
    status, *_ = run(rollouts, f"{SAMPLE} --problems {problems} --out parts.parquet")
    assert status == 0
    assert numbers == [0, 2, 2, 4]  # the first part was there
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "whole.parquet"), pd.read_parquet(tmp_path / "parts.parquet")
    )
    status, _, err = run(rollouts, f"{SAMPLE} --problems {problems} --out parts.parquet")
    assert status == 2
    assert "parts.parquet exists: name another file, or remove it" in err


LONG = {"question": "1+2=" * 60, "answer": "3"}  # the built-in model looks at 128 tokens
WITH_LONG = [*PROBLEMS[:3], LONG, *PROBLEMS[3:]]


def test_a_problem_that_does_not_fit_is_left_out_and_counted(run, write_rows, tmp_path):
    path = write_rows(WITH_LONG)
    status, out, err = run(rollouts, f"{SAMPLE} --problems {path} --offset 1 --out with.parquet")
    assert status == 0, err
    reason = (
        "prompts longer than the 122 tokens that the model's context of 128 leaves beside "
        f"--max-new-tokens 6: {path} row 4"
    )
    assert out.startswith(f"left out: 1 ({reason})\n")
    assert "8 completions of 4 problems" in out
    assert "problems left out for a prompt that does not fit: 1" in out
    table = pd.read_parquet(tmp_path / "with.parquet")
    assert table.attrs["left_out"] == {reason: 1}
    other = write_rows([*PROBLEMS[:3], PROBLEMS[0], *PROBLEMS[3:]], "other.jsonl")
    run(rollouts, f"{SAMPLE} --problems {other} --offset 1 --out all.parquet")
    every = pd.read_parquet(tmp_path / "all.parquet")
    assert set(every.attrs) == {"settings"}
    same = every[every["group_id"] != 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, same)
    assert table["completion"].nunique() > 4


def test_parts_are_used_again_where_a_row_was_taken_out_of_the_file(
    run, write_rows, tmp_path, monkeypatch
):
    sample, numbers = sampled.sample_part, []

    def noted(model, tokenizer, group, *rest):
        numbers.append([entry.number for entry in group])
        if len(numbers) == 3:
            raise KeyboardInterrupt
        return sample(model, tokenizer, group, *rest)

    monkeypatch.setattr(sampled, "sample_part", noted)
    command = f"{SAMPLE} --problems {write_rows(WITH_LONG)} --out mine.parquet"
    assert run(rollouts, command)[0] == 130
    assert numbers == [[0, 1], [2], [4, 5]]
    write_rows(PROBLEMS)  # the long one is gone: the first part is still of the same problems
    status, out, err = run(rollouts, command)
    assert status == 0, err
    assert "mine.parquet.parts: 1 of 2 parts sampled again: their problems have changed" in out
    assert numbers[3:] == [[2, 3], [4]]
    run(rollouts, command.replace("mine.parquet", "new.parquet"))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "mine.parquet"), pd.read_parquet(tmp_path / "new.parquet")
    )


def test_parts_of_other_problems_are_kept_and_refused(run, write_rows, tmp_path, monkeypatch):
    sample, parts = sampled.sample_part, []

    def interrupted(*arguments):
        parts.append(arguments)
        if len(parts) == 2:
            raise KeyboardInterrupt
        return sample(*arguments)

    monkeypatch.setattr(sampled, "sample_part", interrupted)
    command = f"{SAMPLE} --problems {write_rows(PROBLEMS)} --out mine.parquet"
    run(rollouts, command)
    write_rows(PROBLEMS[::-1])
    status, _, err = run(rollouts, command)
    assert status == 2
    assert "mine.parquet.parts holds parts sampled with other problems" in err
    renamed = Path(write_rows(PROBLEMS)).rename(tmp_path / "renamed.jsonl")
    status, out, _ = run(rollouts, f"{SAMPLE} --problems {renamed} --out mine.parquet")
    assert status == 0
    assert len(parts) == 4  # the first part was there still
    assert re.search(r"--max-new-tokens 6 would cut [1-4] of 4 completions of the parts", out)


def test_the_share_of_solutions_that_would_be_cut_is_said_before_the_start(run, write_rows):
    rows = [{"question": "1+2=", "answer": f"{'1+2=3;' * n} #### 3"} for n in (1, 2, 9, 9)]
    path = write_rows(rows)
    words = "--model builtin --samples 1 --max-new-tokens 30 --out all.parquet"
    status, out, err = run(rollouts, f"{words} --problems {path}")
    assert status == 0, err
    cut = f"--max-new-tokens 30 would cut 2 of 4 solutions in {path} (50.0%)\n"
    assert out.startswith(cut)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name a file of problems with --problems"),
        ("--problems nowhere.jsonl", "nowhere.jsonl: no such file of problems"),
        ("--problems rows.jsonl --samples 0", "--samples 0: must be above 0"),
        ("--problems rows.jsonl --temperature nan", "--temperature nan: must be 0 or more"),
        ("--problems rows.jsonl --top-p 0", "--top-p 0.0: must be above 0"),
        ("--problems rows.jsonl --seed -5", "--seed -5: must be 0 or more"),
        ("--problems rows.jsonl --offset -2", "--offset -2: must be 0 or more"),
        ("--problems rows.jsonl --out table.csv", "--out table.csv: expected a name ending in"),
        ("--problems rows.jsonl --question-column q", "--question-column q is not among its"),
    ],
)
def test_mistakes_get_one_line_and_status_2(run, write_rows, words, message):
    write_rows(PROBLEMS)
    status, _, err = run(rollouts, words)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_problems_whose_prompts_are_too_long_are_left_out_before_sampling(
    run, write_rows, tmp_path
):
    long = {"question": "1+" * 80 + "1=", "answer": "81"}
    problems = write_rows([*PROBLEMS[:2], long, *PROBLEMS[2:]])
    status, out, err = run(rollouts, f"{SAMPLE} --problems {problems} --out all.parquet")
    assert status == 0, err
    assert "left out: 1 (prompts longer than" in out
    assert f"{problems} row 3)" in out
    assert "10 completions of 5 problems" in out
    assert "correct without a box" in out
    table = pd.read_parquet(tmp_path / "all.parquet")
    assert list(table["group_id"].unique()) == [0, 1, 3, 4, 5]
    status, _, err = run(
        rollouts, f"{SAMPLE} --problems {write_rows([long], 'long.jsonl')} --out none.parquet"
    )
    assert status == 2
    assert "long.jsonl: no prompt fits" in err


ASDIV = [
    {"body": "Seven red and two green.", "question": "How many?", "answer": "9 (apples)",
     "formula": "7+2=9"},
    {"body": "", "question": "Ratio?", "answer": "2:3", "formula": "4:6=2:3"},
    {"body": "", "question": "Wrong?", "answer": "5", "formula": "2+2=4"},
]  # fmt: skip


def test_worked_answers_compute_the_formula_and_box_the_result(run, write_rows, tmp_path):
    problems = write_rows(ASDIV)
    status, out, _ = run(worked_answers, f"--problems {problems} --out worked.jsonl")
    assert status == 0
    (row,) = [json.loads(line) for line in (tmp_path / "worked.jsonl").read_text().splitlines()]
    assert row["completion"] == "7+2=9\nThe answer is \\boxed{9}."
    assert row["prompt"][0]["content"].startswith("Seven red and two green. How many?")
    assert "left out: 1 (formula is not plain arithmetic" in out
    assert "left out: 1 (formula's result is not the answer)" in out
    made = json.loads((tmp_path / "worked.jsonl.made_with").read_text())
    assert made["command"].endswith(f"--problems {problems} --out worked.jsonl")
    content = Path(problems).read_bytes()
    assert made["digests"] == {"problems": hashlib.blake2b(content, digest_size=16).hexdigest()}
    assert made["versions"]["python"]


def test_real_formulas(run, benchmarks, tmp_path):
    status, out, _ = run(
        worked_answers, f"--problems {benchmarks / 'asdiv.jsonl'} --out worked.jsonl"
    )
    assert status == 0
    assert "wrote 1534 worked answers" in out
    assert len(list(read_table(str(tmp_path / "worked.jsonl")).trajectories())) == 1534


def test_problems_without_formulas_are_refused(run, write_rows):
    status, _, err = run(worked_answers, f"--problems {write_rows(PROBLEMS)} --out worked.jsonl")
    assert status == 2
    assert "has no column formula" in err
