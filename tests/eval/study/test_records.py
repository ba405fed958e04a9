"""Runs kept as CSV are read back as they were."""

import json

import pytest

from eval.compare.runs import read_run
from eval.study.curves import curves
from eval.study.records import collect, name, read_records, together, write_records
from objectives.errors import InputError
from tests.helpers.run_folders import write_run
from train.config import UNTRAINED

NAMES = ["sft/1e-05/0", "sft/1e-05/1", "dpo/3e-06/0"]
GREEDY = {0: "1100", 1: "1110", 2: "0110"}


@pytest.fixture
def folder(tmp_path):
    """Three runs where --make puts them, the last of which was watched."""
    for own in NAMES:
        objective, rate, seed = own.split("/")
        sampled = {0: "2100", 1: "2210", 2: f"2{seed}12"}
        out = tmp_path / "runs" / own
        write_run(out, objective, GREEDY, sampled, learning_rate=float(rate), seed=int(seed))
        with (out / "metrics.jsonl").open("a") as file:
            for step in (0, 2):
                line = {"step": step, "probe/mean_logps/chosen": -0.1 - step}
                file.write(json.dumps(line | {"probe/mean_logps/rejected": -0.5}) + "\n")
    rows = ["step,quantity,reference,horizon,lam,value", "0,cosine,,,,.25", "2,cosine,,,,.5"]
    (tmp_path / "runs" / NAMES[2] / "diagnostics.csv").write_text("\n".join(rows))
    return tmp_path / "runs"


def test_what_is_written_is_read_back(folder, tmp_path):
    written = collect(NAMES, folder, UNTRAINED)
    files = write_records(written, "small", tmp_path)
    assert [file.name for file in files] == [
        "small-runs.csv",
        "small-looks.csv",
        "small-watched.csv",
    ]
    assert str(tmp_path) not in "".join(file.read_text() for file in files)
    records = read_records("small", tmp_path)
    for own, record in zip(NAMES, records, strict=True):
        run = read_run(folder / own, UNTRAINED)
        assert record.line == own.split("/")[0]
        assert record.run.config == {k: v for k, v in run.config.items() if k != "out"}
        assert record.run.hyper == {k: v for k, v in run.hyper.items() if k != "out"}
        for mode in ("greedy", "sampled"):
            assert (
                record.run.scores[mode].to_numpy().tolist() == run.scores[mode].to_numpy().tolist()
            )
            assert record.run.scores[mode].index.tolist() == [0, 1, 2]
        assert record.run.costs.to_numpy().tolist() == run.costs.to_numpy().tolist()
        assert record.run.result["flops"] == run.result["flops"]
        assert record.probes["chosen"].dropna().to_dict() == {0: -0.1, 2: -2.1}
    assert records[2].watched["cosine"].to_dict() == {0: 0.25, 2: 0.5}
    assert records[0].watched.empty


def test_seeds_of_a_line_are_one_curve_and_even_problems_choose_its_best_step(folder, tmp_path):
    write_records(collect(NAMES, folder, UNTRAINED), "small", tmp_path)
    sft, dpo = curves(read_records("small", tmp_path))
    assert (sft.name, sft.rate, len(sft.records)) == ("sft", 1e-5, 2)
    assert (dpo.name, dpo.rate, len(dpo.records)) == ("dpo", 3e-6, 1)
    # Of problems 0 and 2: (2 + 1) / 4 after the first step, (2 + 1) / 4 after the second.
    assert sft.best_step() == 1
    assert sft.best_step(problems=slice(3, None)) == 2
    assert sft.scores("sampled", 2).tolist() == [[1, 0, 0.5, 1], [1, 0.5, 0.5, 1]]
    assert sft.table().loc[2, "mean"] == 5.5 / 8


def test_more_samples_than_a_digit_has_are_refused(folder, tmp_path):
    write_run(tmp_path / "many/1e-05/0", "sft", GREEDY, GREEDY, eval_samples=12)
    records = collect(["many/1e-05/0"], tmp_path, UNTRAINED)
    with pytest.raises(InputError, match="12 samples of a problem: the study keeps at most 9"):
        write_records(records, "many", tmp_path)


def test_results_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none-runs\.csv: not there"):
        read_records("none", tmp_path)


def test_new_runs_join_those_that_are_kept(folder, tmp_path):
    first = collect(NAMES[:2], folder, UNTRAINED)
    write_records(first, "small", tmp_path)
    joined = together(read_records("small", tmp_path), collect(NAMES[1:], folder, UNTRAINED))
    assert list(map(name, joined)) == NAMES
    write_records(joined, "small", tmp_path)
    scores = read_records("small", tmp_path)[0].run.scores["sampled"]
    assert scores.to_numpy().tolist() == first[0].run.scores["sampled"].to_numpy().tolist()

    write_run(tmp_path / "other/sft/1e-05/0", "sft", GREEDY, GREEDY, digests={"data": "a"})
    write_run(tmp_path / "other/sft/1e-05/1", "sft", GREEDY, GREEDY, digests={"data": "b"}, seed=1)
    one, other = (collect([f"sft/1e-05/{seed}"], tmp_path / "other", UNTRAINED) for seed in (0, 1))
    with pytest.raises(InputError, match="sft/1e-05/1 and sft/1e-05/0, which is kept, differ in"):
        together(one, other)
