"""The registry of benchmarks: files, hub, checks and how the built-in task is graded."""

import re
import time

import datasets
import pandas as pd
import pytest

from eval.problems.benchmark import problems_digest
from eval.problems.benchmarks import BENCHMARKS, benchmarks_named
from eval.problems.files import Problem
from objectives.errors import InputError
from train.models.load import load_model

ROWS = [{"problem": "What is $1+1$?", "answer": 2}, {"problem": "And $2+2$?", "answer": "4"}]


@pytest.mark.parametrize("name", ["gsm8k", "math500", "amc", "minerva", "olympiadbench"])
def test_the_published_files_are_those_that_the_digests_are_of(benchmarks, name):
    benchmark = BENCHMARKS[name]
    problems = benchmark.load(str(benchmarks))
    assert len(problems) == benchmark.count
    assert benchmark.check(problems) is None
    other = [*problems[:-1], problems[-1]._replace(answer="0")]
    assert "are not, word for word, the" in benchmark.check(other)


def test_the_built_in_problems_need_no_file():
    benchmark = BENCHMARKS["builtin"]
    problems = benchmark.load()
    assert len(problems) == benchmark.count
    assert benchmark.check(problems) is None
    assert benchmark.prompt(load_model("builtin")[1], problems[0].question) == problems[0].question
    texts = [f"1=1;#{problems[0].answer}", f"#{int(problems[1].answer) + 1}", "1+1=2"]
    grades = benchmark.grade(problems[:3], texts)
    assert [grade.correct for grade in grades] == [True, False, False]
    assert [grade.status for grade in grades] == ["ok", "ok", "unparseable"]


def test_small_sets_are_sampled_more_often():
    for benchmark in BENCHMARKS.values():
        assert (benchmark.samples >= 16) == (benchmark.count <= 60)


def test_hub_sets_are_pinned_to_a_commit():
    pinned = [benchmark.hub for benchmark in BENCHMARKS.values() if benchmark.hub]
    assert len(pinned) == 7
    assert all(re.fullmatch("[0-9a-f]{40}", hub.revision) for hub in pinned)


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet", "csv"])
def test_files_of_every_kind(tmp_path, ending):
    table = pd.DataFrame(ROWS).astype(str)
    path = tmp_path / f"aime.{ending}"
    write = {"parquet": table.to_parquet, "csv": lambda p: table.to_csv(p, index=False)}
    write.get(ending, lambda p: table.to_json(p, orient="records", lines=ending == "jsonl"))(path)
    assert BENCHMARKS["aime"].load(str(tmp_path)) == [
        ("What is $1+1$?", "2"),
        ("And $2+2$?", "4"),
    ]


def test_the_hub_is_asked_for_the_pinned_commit(monkeypatch):
    asked = []

    def load_dataset(name, config, *, split, revision):
        asked.append((name, config, split, revision))
        return datasets.Dataset.from_list([{"question": "1+1?", "answer": "So 2.\n#### 2"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert BENCHMARKS["gsm8k"].load() == [("1+1?", "2")]
    hub = BENCHMARKS["gsm8k"].hub
    assert asked == [(hub.name, "main", "test", hub.revision)]


def test_what_is_missing_is_said_at_once(monkeypatch, tmp_path):
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    started = time.monotonic()
    with pytest.raises(InputError, match=r"aime.jsonl .* with the columns problem, answer") as told:
        BENCHMARKS["aime"].load()
    assert time.monotonic() - started < 10
    assert "cannot be had from the hub" in str(told.value)
    assert before == huggingface_hub.constants.HF_HUB_OFFLINE
    with pytest.raises(InputError, match=r"math_perturb: not on the hub; put math_perturb.jsonl"):
        BENCHMARKS["math_perturb"].load()
    with pytest.raises(InputError, match=r"no file .*aime25.jsonl"):
        BENCHMARKS["aime25"].load(str(tmp_path))


def test_digests_see_words_and_answers_but_no_white_space():
    problems = [Problem("How many\n apples?", "3")]
    assert problems_digest(problems) == problems_digest([Problem("How many apples? ", "3")])
    for other in (Problem("How many pears?", "3"), Problem("How many apples?", "4")):
        assert problems_digest(problems) != problems_digest([other])


def test_names():
    assert [b.name for b in benchmarks_named("amc, gsm8k,amc")] == ["amc", "gsm8k"]
    with pytest.raises(InputError, match=r"--benchmarks gsm9k: not one of gsm8k, math500"):
        benchmarks_named("gsm8k,gsm9k")
