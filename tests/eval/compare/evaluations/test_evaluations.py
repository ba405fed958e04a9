"""Evaluations of models side by side: folders of python -m eval, real files of the harness."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel

from eval.compare.__main__ import main
from eval.compare.evaluations.comparing import MEAN, compare_evaluations, labels_of
from eval.compare.evaluations.finding import find_evaluations, read_evaluations
from eval.compare.evaluations.pages import difference_table, remarks
from eval.statistics import holm, mean_difference, problem_difference
from objectives.errors import InputError

LOGS = Path(__file__).parent / "logs"  # of two models of the built-in task, lm-eval 0.4.13
BASE = [1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 1]  # right in task sums, as its own table counts them
FPA = [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1]


def write_eval(folder, name="builtin", right=(), samples=1, unread=(), only=None, **settings):
    """Write what python -m eval writes; right: of each problem the samples that are."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"benchmark": name, "index": index, "sample": sample, "problem": f"{index} +  1=",
         "gold": f"{index + 1}", "completion": "#", "correct": sample < count, "answer": "",
         "status": "unparseable_gold" if index in unread else "ok"}
        for index, count in enumerate(right) for sample in range(samples)
        if only is None or index in only
    ]  # fmt: skip
    with (folder / "completions.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    known = {name: {"samples": samples, "temperature": 0.0, **settings}}
    record = folder / "settings.json"
    before = json.loads(record.read_text())["benchmarks"] if record.is_file() else {}
    record.write_text(json.dumps({"model": f"m-{folder.name}", "benchmarks": before | known}))
    (folder / "summary.json").write_text("{}")
    return folder


def compared(*paths, baseline=None, metric=None, chosen=None):
    return compare_evaluations(read_evaluations(find_evaluations(paths), metric, chosen), baseline)


def rows_of(result):
    return {(row["benchmark"], row["model"]): row for row in result.table.to_dict("records")}


def test_the_tests_over_problems_are_scipys():
    generator = np.random.default_rng(0)
    a, b, c, d = generator.integers(0, 5, (4, 40)) / 4
    own, expected = problem_difference(a, b), ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert own.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert (own.mean, own.low, own.high) == pytest.approx(((a - b).mean(), *interval), rel=1e-9)
    # Two benchmarks of equal size and spread: half the sum of two independent means.
    whole = mean_difference([(a, b), (c, d)])
    spread = np.sqrt((a - b).var(ddof=1) / 40 + (c - d).var(ddof=1) / 40) / 2
    assert whole.mean == pytest.approx(((a - b).mean() + (c - d).mean()) / 2)
    assert whole.high - whole.mean == pytest.approx(spread * 1.99, rel=0.01)
    with pytest.raises(ValueError, match="problems"):
        problem_difference(a[None], b[None])


def test_right_and_wrong_agree_with_the_exact_test_of_mcnemar():
    generator = np.random.default_rng(1)
    a = generator.random(300) < 0.6
    b = a ^ (generator.random(300) < 0.2)
    exact = binomtest(int((a & ~b).sum()), int((a ^ b).sum())).pvalue
    own = problem_difference(a.astype(float), b.astype(float)).p_value
    assert own == pytest.approx(exact, rel=0.35)


def test_the_harnesses_files_are_compared(capsys):
    result = compared(LOGS)
    assert result.labels == ["base", "fpa"]
    rows = rows_of(result)
    own = rows["sums", "fpa"]
    expected = ttest_rel(FPA, BASE)
    assert own["difference"] == pytest.approx(5 / 12)
    assert own["p_value"] == pytest.approx(expected.pvalue)
    assert (own["better_on"], own["worse_on"], own["problems"]) == (6, 1, 12)
    assert rows["sums", "base"]["accuracy"] == pytest.approx(5 / 12)
    assert rows["parity", "fpa"]["difference"] == 0
    adjusted = holm([rows["parity", "fpa"]["p_value"], expected.pvalue])
    assert [rows[n, "fpa"]["p_adjusted"] for n in ("parity", "sums")] == pytest.approx(adjusted)
    assert rows[MEAN, "fpa"]["difference"] == pytest.approx(5 / 24)
    assert "parity: acc (there is also metric acc_norm)." in remarks(result)
    assert "sums: exact_match with filter strict (there is also filter flexible)." in remarks(
        result
    )


def test_metric_and_filter_choose(tmp_path):
    result = compared(LOGS, metric="acc_norm", chosen="flexible")
    assert "parity: acc_norm (there is also metric acc)." in remarks(result)
    assert "sums: exact_match with filter flexible (there is also filter strict)." in remarks(
        result
    )
    for given, said in (({"metric": "bleu"}, "--metric bleu"), ({"chosen": "x"}, "--filter x")):
        with pytest.raises(InputError, match=said):
            compared(LOGS, **given)


def test_of_several_runs_in_a_folder_the_newest_is_read(tmp_path):
    folder = shutil.copytree(LOGS / "models__base", tmp_path / "models__base")
    for file in (LOGS / "models__fpa").iterdir():  # a later date
        shutil.copy(file, folder)
    other = shutil.copytree(LOGS / "models__fpa", tmp_path / "models__fpa")
    result = compared(folder, other)
    assert (result.table["difference"].dropna() == 0).all()
    assert any("several runs: of each task the newest is read, 2 are not" in s
               for s in remarks(result))  # fmt: skip


def test_own_folders_are_compared(tmp_path):
    a = write_eval(tmp_path / "a", "gsm8k", [0, 1, 2, 3, 4, 0], 4, unread=[5])
    b = write_eval(tmp_path / "b", "gsm8k", [1, 3, 2, 4, 4, 4, 4], 4, temperature=0.7)
    for folder, right in ((a, [0, 1, 0, 1]), (b, [1, 1, 0, 1])):
        write_eval(folder, "amc", right)
    result = compared(a, b)
    rows = rows_of(result)
    own = rows["gsm8k", "b"]
    expected = ttest_rel([0.25, 0.75, 0.5, 1, 1], [0, 0.25, 0.5, 0.75, 1])
    assert own["p_value"] == pytest.approx(expected.pvalue)
    assert (own["difference"], own["better_on"], own["worse_on"]) == (pytest.approx(0.2), 3, 0)
    assert rows["amc", "b"]["difference"] == 0.25
    said = " ".join(remarks(result))
    assert "gsm8k, left out of b: 2 of its 7 that others lack" in said
    assert "gsm8k, left out of a: 1 whose gold answer cannot be read" in said
    assert "gsm8k was evaluated with different temperature: a 0.0, b 0.7" in said


def test_the_baseline_can_be_named_and_has_no_difference(tmp_path):
    paths = [write_eval(tmp_path / name, right=right) for name, right in
             {"a": [0, 1, 0], "b": [1, 1, 1], "c": [0, 0, 1]}.items()]  # fmt: skip
    for name in ("b", str(paths[1])):
        result = compared(*paths, baseline=name)
        assert list(difference_table(result)["model"]) == ["a", "c"]
    with pytest.raises(InputError, match="--baseline d is not among them: name one of a, b, c"):
        compared(*paths, baseline="d")


def test_ours_and_the_harnesses_match_by_question(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    [file] = (LOGS / "models__fpa").glob("samples_sums_*")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["doc"]["question"] = f"{line['doc_id']} + 1="
    (logs / file.name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    own = write_eval(tmp_path / "own", right=BASE)
    result = compared(own, logs)
    assert rows_of(result)["builtin", "logs"]["difference"] == pytest.approx(5 / 12)
    said = " ".join(remarks(result))
    assert "Taken to be one benchmark: builtin (own), sums (logs)." in said
    assert "not made by one program" in said


def test_a_problem_that_is_there_twice_is_two(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path, right in zip(paths, ([0, 1], [1, 1]), strict=True):
        write_eval(path, right=right)
        write_eval(path, right=right)
        text = (path / "completions.jsonl").read_text().splitlines()
        later = [line.replace('"index": ', '"index": 1') for line in text[2:]]
        (path / "completions.jsonl").write_text("\n".join([*text[:2], *later]) + "\n")
    assert rows_of(compared(*paths))["builtin", "b"]["problems"] == 4


def test_labels_are_as_long_as_tells_them_apart(tmp_path):
    for name in ("x/eval", "y/eval", "hub__x__eval"):
        (tmp_path / name).mkdir(parents=True)
    paths = [tmp_path / "x/eval", tmp_path / "y/eval", tmp_path / "hub__x__eval"]
    assert labels_of(paths[:2]) == ["x/eval", "y/eval"]
    assert labels_of(paths) == [f"{tmp_path.name}/x/eval", f"{tmp_path.name}/y/eval", "hub/x/eval"]


def _break(file, change):
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


BROKEN = {
    "perplexity": (lambda rows: rows[0].update(exact_match=12.5), "line 1: exact_match is 12.5"),
    "a pair": (lambda rows: rows[2].update(exact_match=[-3, 1]), r"line 3: exact_match is \[-3"),
    "nan": (lambda rows: rows[0].update(exact_match=float("nan")), "line 1: exact_match is NaN"),
    "no score": (lambda rows: rows[0].pop("exact_match"), "line 1: exact_match is null"),
    "no document": (lambda rows: rows[1].pop("doc"), "line 2: doc is missing"),
    "no metrics": (lambda rows: [row.update(metrics=[]) for row in rows], "have no metrics"),
    "twice": (lambda rows: rows.append(rows[0]), "doc_id 0 is there twice with filter strict"),
    "empty": (lambda rows: rows.clear(), "holds no samples"),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN)
def test_files_that_cannot_be_compared_are_named(tmp_path, change, said):
    folder = shutil.copytree(LOGS, tmp_path / "logs")
    [file] = (folder / "models__base").glob("samples_sums_*")
    _break(file, change)
    with pytest.raises(InputError, match=said) as error:
        compared(folder)
    assert file.name in str(error.value)


def test_what_is_nothing_to_compare_is_said(tmp_path):
    a, b = write_eval(tmp_path / "a", right=[1, 0]), write_eval(tmp_path / "b", "amc", [1])
    write_eval(b, "aime", [1])
    (tmp_path / "runs").mkdir()
    for paths, said in (
        ([a], "one evaluation"),
        ([a, a], "one evaluation"),
        ([a, b], "no benchmark that the baseline a shares with another"),
        ([a, tmp_path / "runs"], "holds evaluations and"),
        ([a, tmp_path / "none"], "no such file or folder"),
    ):
        with pytest.raises(InputError, match=said):
            compared(*paths)
    (a / "summary.json").unlink()
    with pytest.raises(InputError, match="not finished, it has no summary"):
        compared(a, b)
    c = write_eval(tmp_path / "c", right=[1, 0, 1])
    d = write_eval(tmp_path / "d", right=[1, 0, 1, 1, 0], only=[3, 4])
    with pytest.raises(InputError, match="no problem that c, d all have"):
        compared(c, d)


def test_the_door_writes_pages(tmp_path, monkeypatch, capsys):
    a = write_eval(tmp_path / "a\n<b>$x", right=[0, 1, 0, 1])
    b = write_eval(tmp_path / "_b", right=[1, 1, 0, 1])
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["compare", str(a), str(b), "--out", str(out)])
    main()
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split()[:2] == ["builtin", "4"]
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        "comparison.csv", "comparison.md", "report.html", "differences.png",
    }  # fmt: skip
    [row] = [r for r in csv.DictReader((out / "comparison.csv").open()) if r["model"] == "_b"]
    assert float(row["difference"]) == 0.25
    page = (out / "report.html").read_text()
    assert "a &lt;b&gt;$x" in page
    assert "<b>$x" not in page
