"""Reading runs: what is found, what is left out and why, and which cannot be compared."""

import json
from pathlib import Path

import pytest

from eval.compare.groups import differing_settings, group_runs
from eval.compare.runs import read_run, read_runs
from objectives.errors import InputError
from tests.helpers.run_folders import write_run
from train.config import UNTRAINED

GREEDY = {0: "0100", 2: "0111"}
SAMPLED = {0: "0000", 2: "0122"}


def test_a_run_read_back(tmp_path):
    run = read_run(
        write_run(tmp_path / "a", "fpa", GREEDY, SAMPLED, seed=3, learning_rate=2e-5), UNTRAINED
    )
    assert (run.objective, run.seed, run.learning_rate) == ("fpa", 3, 2e-5)
    assert run.problems == (("1+0=", "1"), ("1+1=", "2"), ("1+2=", "3"), ("1+3=", "4"))
    assert run.scores["greedy"].loc[0].tolist() == [0, 1, 0, 0]
    assert run.scores["sampled"].loc[2].tolist() == [0, 0.5, 1, 1]
    assert run.costs["num_tokens"].to_dict() == {0: 0, 1: 1000, 2: 2000}
    assert run.costs["flops"].to_dict() == {0: 0, 1: 2e12, 2: 3e12}
    assert run.result["seconds"] == 90


def test_an_older_run_tells_tokens_alone(tmp_path):
    run = read_run(write_run(tmp_path / "a", "fpa", GREEDY, result=None), UNTRAINED)
    assert list(run.costs) == ["num_tokens"]
    assert (run.result, list(run.scores)) == ({}, ["greedy"])


def test_a_run_is_unfinished_without_its_result(tmp_path):
    (write_run(tmp_path / "a", "fpa", GREEDY) / "result.json").unlink()
    with pytest.raises(InputError, match="a: unfinished, it has no result"):
        read_run(tmp_path / "a", UNTRAINED)


def test_runs_are_found_once_at_any_depth(tmp_path):
    one = write_run(tmp_path / "x" / "deep" / "a", "fpa", GREEDY)
    other = write_run(tmp_path / "b", "dpo", GREEDY)
    (tmp_path / "b" / "checkpoints").mkdir()
    (tmp_path / "b" / "checkpoints" / "config.json").write_text("{}")  # a model's
    (tmp_path / "note.txt").write_text("no folder")
    runs, left_out = read_runs([*tmp_path.iterdir(), tmp_path / "x" / ".." / "x"], UNTRAINED)
    assert {run.path for run in runs} == {one, other}
    assert left_out == []


def _edit(file: Path, old: str, new: str, times: int = 1) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, times))


BROKEN = [
    ("config.json", '"steps": 2', '"steps": 9', "unfinished, evaluated up to step 2 of 9"),
    ("config.json", '"seed"', '"seeds"', "config.json: no seed in it"),
    ("config.json", "{", "", "config.json: not JSON"),
    ("config.json", '"seed": 0', '"seed": "a"', 'config.json: seed is "a"'),
    ("config.json", "1e-05", "NaN", "config.json: learning_rate is NaN"),
    ("metrics.jsonl", '{"step": 1', '{"step": ', "metrics.jsonl line 2: not JSON"),
    ("metrics.jsonl", '"step": 1', '"stop": 1', "metrics.jsonl line 2: step is missing"),
    ("metrics.jsonl", "eval/greedy_accuracy", "accuracy", "not evaluated on problems"),
    ("metrics.jsonl", "2000000000000.0", '"many"', 'metrics.jsonl line 2: flops is "many"'),
    ("metrics.jsonl", '_accuracy": 0.5', '_accuracy": NaN', "line 1: eval/greedy_accuracy is NaN"),
    ("result.json", "90.0", "NaN", "result.json: seconds is NaN, where a number is expected"),
    ("result.json", "90.0", '"90"', 'result.json: seconds is "90", where a number is expected'),
    ("eval.jsonl", '"correct"', '"right"', "eval.jsonl line 1: correct is missing, not bool"),
    ("eval.jsonl", '"correct": true', '"correct": null', "line 2: correct is null, not bool"),
    ("eval.jsonl", '"correct": true', '"correct": NaN', "line 2: correct is NaN, not bool"),
    ("eval.jsonl", '"correct": true', '"correct": "yes"', 'line 2: correct is "yes", not bool'),
    ("eval.jsonl", '"correct": true', '"correct": 1', "line 2: correct is 1, not bool"),
    ("eval.jsonl", '"sample": 0', '"sample": NaN', "line 1: sample is NaN, not int"),
    ("eval.jsonl", "{", "", "eval.jsonl line 1: not JSON"),
    ("eval.jsonl", '"problem": 1', '"problem": 7', "completions of some problems at some steps"),
    ("eval.jsonl", '"gold": "2"', '"gold": "3"', "problems have several prompts or gold answers"),
    ("eval.jsonl", '"greedy"', '"sampled"', "completions of some problems at some steps"),
    ("result.json", "{", "[1, {", "result.json: not JSON"),
]


@pytest.mark.parametrize(("file", "old", "new", "reason"), BROKEN)
def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path, file, old, new, reason):
    write_run(tmp_path / "good", "dpo", GREEDY, SAMPLED)
    bad = write_run(tmp_path / "bad", "fpa", GREEDY, SAMPLED)
    _edit(bad / file, old, new, 99 if file == "metrics.jsonl" and "eval" in old else 1)
    runs, left_out = read_runs([tmp_path], UNTRAINED)
    assert [run.objective for run in runs] == ["dpo"]
    assert len(left_out) == 1
    assert reason in left_out[0]
    assert str(bad) in left_out[0]


@pytest.mark.parametrize("drop", ["last completion", "last step", "all", "greedy"])
def test_completions_must_be_whole(tmp_path, drop):
    folder = write_run(tmp_path / "a", "fpa", GREEDY, SAMPLED)
    file = folder / "eval.jsonl"
    lines = file.read_text().splitlines()
    kept = {
        "last completion": lines[:-1],
        "last step": [line for line in lines if json.loads(line)["step"] == 0],
        "all": None,
        "greedy": [line for line in lines if json.loads(line)["mode"] != "greedy"],
    }[drop]
    if kept is None:
        file.unlink()
    else:
        file.write_text("\n".join(kept))
    with pytest.raises(InputError, match=r"eval.jsonl: (sampled|greedy|no such|no greedy)"):
        read_run(folder, UNTRAINED)


def test_nothing_left_is_one_error_with_the_reasons(tmp_path):
    with pytest.raises(InputError, match="no finished run of python -m train there"):
        read_runs([tmp_path], UNTRAINED)
    write_run(tmp_path / "a", "fpa", GREEDY, steps=5)
    with pytest.raises(InputError, match="unfinished, evaluated up to step 2 of 5"):
        read_runs([tmp_path], UNTRAINED)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_runs([tmp_path / "nowhere"], UNTRAINED)


def _groups(tmp_path, *settings):
    for number, values in enumerate(settings):
        write_run(tmp_path / f"{number}", **{"objective": "fpa", "greedy": GREEDY, **values})
    return group_runs(read_runs([tmp_path], UNTRAINED)[0])


def test_seeds_are_one_line_and_hyper_parameters_another(tmp_path):
    groups = _groups(
        tmp_path,
        {"seed": 1, "lam": 1.0, "device": "cpu"},
        {"seed": 0, "lam": 1, "device": "cuda"},
        {"seed": 0, "lam": 2.0},
        {"seed": 0, "lam": 1.0, "learning_rate": 3e-6},
        {"objective": "dpo", "beta": 0.1, "batch_size": 32},
    )
    assert [group.label for group in groups] == ["dpo", "fpa lam=1", "fpa lam=2"]
    seeds = {rate: [run.seed for run in runs] for rate, runs in groups[1].by_rate.items()}
    assert seeds == {3e-6: [0], 1e-5: [0, 1]}
    assert list(seeds) == [3e-6, 1e-5]
    runs = [run for group in groups for runs in group.by_rate.values() for run in runs]
    assert differing_settings(runs, shared=True) == ["batch_size"]


def test_a_setting_that_a_line_does_not_have_is_not_in_its_name(tmp_path):
    groups = _groups(tmp_path, {"lam": 1.0}, {"lam": "window", "lam_floor": 0.5})
    assert [group.label for group in groups] == ["fpa lam=1", "fpa lam=window lam_floor=0.5"]


def test_online_runs_have_data_of_their_own(tmp_path):
    other = {"objective": "grpo", "online": True, "data": "problems.jsonl"}
    assert [group.label for group in _groups(tmp_path, {}, other)] == ["fpa", "grpo"]


NOT_COMPARABLE = [
    ({"model": "smollm2"}, "began from different models"),
    ({"data": "rows.parquet"}, "were trained on different data"),
    ({"digests": {"base": "a"}}, "began from models whose files differ"),
    ({"digests": {"base": "b", "data": "d"}}, "were trained on data of different content"),
    ({"eval_samples": 8}, "differ in --eval-samples"),
    ({"greedy": {0: "010", 2: "011"}}, "were evaluated on different problems"),
    ({"seed": 0}, "are one run twice: fpa with learning rate 1e-05 and seed 0"),
]


@pytest.mark.parametrize(("other", "complaint"), NOT_COMPARABLE)
def test_runs_that_cannot_be_compared_are_named(tmp_path, other, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        _groups(tmp_path, {"digests": {"base": "b", "data": "c"}}, {"seed": 1} | other)
    assert f"{tmp_path / '0'} and {tmp_path / '1'} " in str(error.value)


def test_runs_with_a_reward_that_was_edited_between_are_refused_and_other_rewards_are_lines(
    tmp_path,
):
    first = {"reward": "a.py:f", "digests": {"reward": "1"}}
    edited = {**first, "digests": {"reward": "2"}, "seed": 1}
    with pytest.raises(InputError, match="were rewarded by functions of other source"):
        _groups(tmp_path / "edited", first, edited)
    groups = _groups(tmp_path / "other", first, {**edited, "reward": "b.py:f"})
    assert [group.label for group in groups] == ["fpa reward=a.py:f", "fpa reward=b.py:f"]
