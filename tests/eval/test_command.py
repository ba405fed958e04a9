"""`python -m eval` with the built-in model: scores, resumed runs, grading again, complaints."""

import json
from functools import partial
from pathlib import Path

import pytest

from eval import sampling
from eval.__main__ import main
from eval.scores import score, score_table
from eval.statistics import score_interval
from train.models import load as models

PROBLEMS = [{"question": f"{n}+2=", "answer": str(n + 2)} for n in range(1, 6)]
BUILTIN = "--benchmarks builtin --limit 6 --samples 3 --batch-size 6"
FIELDS = {"benchmark", "index", "sample", "problem", "gold", "completion", "answer", "correct",
          "truncated", "status", "boxed", "tokens", "seconds"}  # fmt: skip


@pytest.fixture
def evaluate(call):
    return partial(call, main)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def timeless(path: Path) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in lines(path)]


def test_every_completion_is_kept_and_scored(evaluate, tmp_path):
    status, out, err = evaluate(f"{BUILTIN} --temperature 1 --out mine")
    assert status == 0, err
    rows = lines(tmp_path / "mine" / "completions.jsonl")
    assert [(row["index"], row["sample"]) for row in rows] == [
        (index, sample) for index in range(6) for sample in range(3)
    ]
    assert all(set(row) == FIELDS for row in rows)
    for row in rows:
        assert row["correct"] == row["completion"].endswith("#" + row["gold"])
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    (found,) = summary["scores"]
    means = [sum(r["correct"] for r in rows[n : n + 3]) / 3 for n in range(0, 18, 3)]
    assert 0 < sum(means) < 6  # else the next lines tell little
    assert [found["average"], found["low"], found["high"]] == pytest.approx(score_interval(means))
    assert found["pass_at_k"] == pytest.approx(sum(mean > 0 for mean in means) / 6)
    assert found["tokens"] == sum(row["tokens"] for row in rows)
    assert (found["problems"], found["samples"], found["truncated"]) == (6, 3, 0)
    assert f"{found['average']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" in out
    assert summary["settings"]["benchmarks"]["builtin"]["temperature"] == 1


def test_one_sample_is_greedy_and_more_are_not(evaluate, tmp_path):
    evaluate("--benchmarks builtin --limit 4 --seed 1 --out one")
    evaluate("--benchmarks builtin --limit 4 --seed 2 --out two")
    one, two = (timeless(tmp_path / name / "completions.jsonl") for name in ("one", "two"))
    assert one == two
    evaluate("--benchmarks builtin --limit 4 --samples 4 --out more")
    settings = json.loads((tmp_path / "more" / "settings.json").read_text())
    assert settings["benchmarks"]["builtin"]["temperature"] == 0.6
    rows = lines(tmp_path / "more" / "completions.jsonl")
    assert len({row["completion"] for row in rows}) > 4


def test_an_interrupted_run_goes_on_and_ends_the_same(evaluate, tmp_path, monkeypatch):
    evaluate(f"{BUILTIN} --out whole")
    generate, parts = sampling.generate, []

    def interrupted(*arguments, keys, **options):
        parts.append(keys)
        if len(parts) == 3:
            raise KeyboardInterrupt
        return generate(*arguments, keys=keys, **options)

    monkeypatch.setattr(sampling, "generate", interrupted)
    status, _, err = evaluate(f"{BUILTIN} --out mine")
    assert status == 130
    assert "interrupted" in err
    file = tmp_path / "mine" / "completions.jsonl"
    text = file.read_text()
    assert len(text.splitlines()) == 12
    file.write_text(text[: text.rindex('"answer"')])  # killed while it wrote: problem 3 is torn
    status, _, err = evaluate(f"{BUILTIN} --seed 1 --out mine")
    assert status == 2
    assert "mine was begun with other settings (benchmarks/builtin/seed 0, now 1)" in err
    status, first, err = evaluate(f"{BUILTIN} --out mine")
    assert status == 0, err
    assert parts == [[0, 1], [2, 3], [4, 5], [3, 4], [5]]
    assert timeless(file) == timeless(tmp_path / "whole" / "completions.jsonl")

    def unwanted(*_):
        raise AssertionError("nothing is missing, so no model is needed")

    monkeypatch.setattr(models, "load_model", unwanted)
    status, again, _ = evaluate(f"{BUILTIN} --out mine")
    assert status == 0
    cut = "builtin: --max-new-tokens 48 would cut 0 of 9 earlier completions (0.0%)"
    assert first == f"{cut}\n{again}"


def test_a_file_of_other_problems_and_a_limit_cut_to_the_context(evaluate, write_rows, tmp_path):
    path = write_rows(PROBLEMS)
    status, out, err = evaluate(f"--problems {path} --limit 2")
    assert status == 0, err
    assert "rows: --max-new-tokens 2048 cut to 61" in out  # 128 less a prompt of 67
    rows = lines(tmp_path / "runs" / "eval" / "completions.jsonl")
    assert [(r["benchmark"], r["problem"], r["gold"]) for r in rows] == [
        ("rows", "1+2=", "3"),
        ("rows", "2+2=", "4"),
    ]


def test_several_benchmarks_and_one_that_is_not_as_known(evaluate, write_rows, tmp_path):
    write_rows(PROBLEMS, "gsm8k.jsonl")
    status, out, err = evaluate(
        "--benchmarks gsm8k,builtin --benchmark-dir . --limit 2 --max-new-tokens 5 --out mine"
    )
    assert status == 0, err
    assert "gsm8k: these 5 problems are not, word for word, the 1319" in out
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert [s["benchmark"] for s in summary["scores"]] == ["gsm8k", "builtin"]
    assert [s["truncated"] for s in summary["scores"]] == [1, 1]


def test_grading_again_with_the_gold_answers_of_the_set(evaluate, write_rows, tmp_path):
    kept = [
        completion("gsm8k", n, f"It is \\boxed{{{n + 3}}}.", gold="0", correct=False)
        for n in range(5)
    ]
    path = write_rows(kept, "kept.jsonl")
    # No set is to be had: the gold answers are the file's.
    status, out, err = evaluate(f"--completions {path} --benchmarks gsm8k")
    assert status == 0, err
    assert f"with the gold answers in {path}; gsm8k: openai/gsm8k cannot be had" in out
    assert "5 completions graded again, 0 became correct, 0 incorrect" in out
    write_rows(PROBLEMS, "gsm8k.jsonl")
    status, out, err = evaluate(
        f"--completions {path} --benchmarks gsm8k --benchmark-dir . --out again"
    )
    assert status == 0, err
    assert "5 completions graded again, 5 became correct, 0 incorrect" in out
    assert all(row["correct"] for row in lines(tmp_path / "again" / "completions.jsonl"))
    summary = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert summary["scores"][0]["average"] == 1
    status, out, err = evaluate(f"--completions {path} --problems gsm8k.jsonl")
    assert status == 0, err
    assert "5 became correct" in out


def test_an_unreadable_gold_answer_is_left_out_and_no_answer_is_wrong(evaluate, write_rows):
    path = write_rows([
        completion("set", 0, "\\boxed{3}", gold="$$"),
        completion("set", 1, "\\boxed{3}", gold="3"),
        completion("set", 2, "I do not know", gold="3"),
    ])  # fmt: skip
    problems = write_rows(
        [{"question": f"{n}+2=", "answer": gold} for n, gold in ((1, "$$"), (2, "3"), (3, "3"))],
        "set.jsonl",
    )
    status, out, err = evaluate(f"--completions {path} --problems {problems}")
    assert status == 0, err
    cells = out.splitlines()[-1].split()
    assert cells[:4] == ["set", "2", "1", "0.500"]
    assert cells[-7:] == ["0.000", "0.500", "0.000", "0", "1", "0", "0"]  # truncated ..


def test_votes_are_for_answers_and_not_for_spellings():
    answers = ["1/2", "0.5", "7", "7", "\\frac12"]
    rows = [
        completion("set", 0, "", sample=k, gold="0.5", answer=text, correct=text != "7")
        for k, text in enumerate(answers)
    ]
    found = score("set", rows)
    assert (found.average, found.pass_at_k, found.majority_at_k) == (0.6, 1, 1)


def test_what_went_wrong_is_counted():
    rows = [
        completion("set", n, "", gold="1", answer=None, correct=False, status=status, truncated=cut)
        for n, (status, cut) in enumerate(
            [("timeout", True), ("unparseable", True), ("unparseable", False), ("ok", False)]
        )
    ]
    found = score("set", rows)
    assert (found.timeouts, found.unparseable, found.truncated) == (1, 0.5, 0.5)
    rows = [completion("set", 0, "", gold="$$", answer=None, correct=False)]
    found = score("set", [{**row, "status": "unparseable_gold"} for row in rows])
    assert (found.problems, found.unparseable_gold, found.average) == (0, 1, None)
    assert "- [-, -]" in score_table([found])


def completion(benchmark, index, text, **fields):
    row = {"benchmark": benchmark, "index": index, "sample": 0, "problem": f"{index + 1}+2=",
           "completion": text, "status": "ok"}  # fmt: skip
    return {**row, **fields}


KEPT = "--completions kept.jsonl --benchmarks"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name either --benchmarks (see --help) or a file with --problems"),
        ("--benchmarks builtin --problems rows.jsonl", "name either --benchmarks"),
        ("--benchmarks gsm9k", "--benchmarks gsm9k: not one of gsm8k, math500"),
        ("--benchmarks gsm8k", "put gsm8k.jsonl (or jsonl, ndjson, json, parquet"),
        ("--benchmarks gsm8k --benchmark-dir no", "--benchmark-dir no: no such folder"),
        ("--benchmarks amc --benchmark-dir .", "amc: no file amc23.jsonl; put amc23.jsonl"),
        ("--benchmarks math_perturb", "math_perturb: not on the hub; put math_perturb.jsonl"),
        ("--problems no.jsonl", "no.jsonl: no such file of problems"),
        ("--problems rows.jsonl --benchmark-dir .", "--benchmark-dir goes with --benchmarks"),
        ("--problems rows.jsonl --answer-column x", "--answer-column x is not among its columns"),
        ("--problems holes.jsonl", "holes.jsonl row 2: no answer in the column answer"),
        ("--benchmarks builtin --answer-column x", "--answer-column goes with --problems"),
        ("--benchmarks builtin --samples 0", "--samples 0: must be above 0"),
        ("--benchmarks builtin --limit -1", "--limit -1: must be above 0"),
        ("--benchmarks builtin --batch-size 0", "--batch-size 0: must be above 0"),
        ("--benchmarks builtin --max-new-tokens 0", "--max-new-tokens 0: must be above 0"),
        ("--benchmarks builtin --seed -1", "--seed -1: must be 0 or more"),
        ("--benchmarks builtin --top-p 0", "--top-p 0.0: must be above 0 and at most 1"),
        ("--benchmarks builtin --temperature -1", "--temperature -1.0: give 0 (greedy)"),
        ("--benchmarks builtin --temperature nan", "--temperature nan: must be a finite number"),
        ("--benchmarks builtin --samples 4 --temperature 0", "gives 4 times the same completion"),
        ("--benchmarks builtin --model ./no", "--model ./no: no model folder there"),
        ("--benchmarks builtin --device cuda9", "--device"),
        ("--benchmarks builtin --out full", "full holds something else: name another folder"),
        ("--benchmarks builtin --out broken", "broken/settings.json: not JSON"),
        ("--problems long.jsonl", "long.jsonl: no prompt fits: the shortest has"),
        (f"{KEPT} builtin --model builtin2", "--model: not with --completions, already sampled"),
        (f"{KEPT} builtin --samples 2", "--samples: not with --completions"),
        (f"{KEPT} builtin", "kept.jsonl holds completions of rows, none of builtin"),
        ("--completions kept.jsonl --problems rows.jsonl", "its problem 9 of rows"),
        ("--completions uneven.jsonl --problems rows.jsonl", "problem 1 has 2 completions where"),
        ("--completions no.jsonl --benchmarks builtin", "no.jsonl: cannot be read (No such file"),
        (
            "--completions rows.jsonl --benchmarks builtin",
            "rows.jsonl line 1: benchmark is missing",
        ),
        ("--completions long.txt --benchmarks builtin", "long.txt line 1: not JSON"),
        ("--completions empty.jsonl --benchmarks builtin", "empty.jsonl holds no completions"),
    ],
)
def test_mistakes_get_one_line_and_status_2(evaluate, write_rows, tmp_path, words, message):
    write_rows(PROBLEMS)
    write_rows([PROBLEMS[0], {"question": "2?", "answer": None}], "holes.jsonl")
    write_rows([{"question": "1+" * 60 + "1=", "answer": "61"}], "long.jsonl")
    write_rows([completion("rows", 9, "3", gold="3")], "kept.jsonl")
    twice = [(0, 0), (1, 0), (1, 1)]
    write_rows([completion("rows", i, "3", gold="3", sample=k) for i, k in twice], "uneven.jsonl")
    write_rows([], "empty.jsonl")
    (tmp_path / "long.txt").write_text("no JSON\n")
    for name in ("full", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "broken" / "settings.json").write_text("{")
    write_rows([completion("builtin", 0, "#3", gold="3")], "broken/completions.jsonl")
    status, _, err = evaluate(words)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_mistyped_model_does_not_spoil_the_folder(evaluate):
    assert evaluate(f"{BUILTIN} --model ./no --out mine")[0] == 2
    status, _, err = evaluate(f"{BUILTIN} --out mine")
    assert status == 0, err


def test_problems_whose_prompts_are_too_long_are_left_out_before_sampling(
    evaluate, write_rows, tmp_path
):
    long = {"question": "1+" * 80 + "1=", "answer": "81"}
    path = write_rows([*PROBLEMS[:2], long, *PROBLEMS[2:]])
    status, out, err = evaluate(f"--problems {path} --batch-size 2 --max-new-tokens 4")
    assert status == 0, err
    assert "rows: left out: 1 (prompts longer than" in out
    assert f"{path} row 3)" in out
    kept = lines(tmp_path / "runs" / "eval" / "completions.jsonl")
    assert [row["index"] for row in kept] == [0, 1, 3, 4, 5]
    assert out.splitlines()[-2].split()[:2] == ["rows", "5"]
