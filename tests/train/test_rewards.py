"""`--reward` at its three doors, with the built-in model: rollouts, online training, evaluation."""

import json

import pandas as pd
import pytest

from eval import __main__ as evaluation
from eval.compare import __main__ as comparison
from tests.helpers.run_folders import step_lines
from train import __main__ as training
from train.data.table import read_table
from train.rollouts import __main__ as rollouts

SOURCE = """
def short(prompt, completion, row):
    return 1.0 - len(completion) / row["limit"]

def right(prompt, completion, row):
    return completion.endswith("#" + row["answer"])

def third(prompt, completion, row):
    return 0.5 if row["limit"] < 20 else None

def negative(prompt, completion, row):
    return -float(len(completion))
"""
PROBLEMS = [{"question": f"{n}+1*2+{n}-1=", "limit": 60 if n % 2 == 0 else 15} for n in range(1, 7)]
SAMPLE = "--model builtin --samples 4 --batch-size 8 --max-new-tokens 48 --temperature 1"
ONLINE = (
    "--online --batch-size 16 --online-samples 4 --eval-problems none --online-max-new-tokens 48 "
    "--out run"
)


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    return file


@pytest.fixture
def problems(write_rows):
    return write_rows(PROBLEMS)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rollouts_have_the_rewards_and_train(call, source, problems, tmp_path):
    words = f"{SAMPLE} --problems {problems} --reward mine.py:short"
    status, out, err = call(rollouts.main, f"{words} --out all.parquet")
    assert status == 0, err
    table = pd.read_parquet(tmp_path / "all.parquet")
    limits = [PROBLEMS[number]["limit"] for number in table["group_id"]]
    expected = [1 - len(c) / n for c, n in zip(table["completion"], limits, strict=True)]
    assert list(table["reward"]) == pytest.approx(expected)
    assert [json.loads(row) for row in table["row"][::4]] == PROBLEMS
    assert set(table["prompt"]) == {row["question"] for row in PROBLEMS}
    kept = table.attrs["settings"]
    assert (kept["reward"], len(kept["reward_source"])) == ("mine.py:short", 32)
    assert "24 completions of 6 problems" in out
    assert f"mean reward {sum(expected) / 24:.3f} ({min(expected):.3f} to" in out
    assert [t.reward for t in read_table("all.parquet").trajectories()] == pytest.approx(expected)
    told = {
        "awr": "rewards: read by their size within a prompt (group_centred)",
        "reinforce": "rewards: above 0 is read as +1, all else as -1; --advantage group_centred",
        "sft": "rewards: those above 0 are trained on, all alike",
    }
    least, most = min(expected), max(expected)
    for name, words in told.items():
        status, out, err = call(
            training.main,
            f"--objective {name} --data all.parquet --eval-problems none --steps 1 --batch-size 8 "
            f"--rows all --out {name}",
        )
        assert words in out, err
        assert f"rewards {least:.3g} to {most:.3g}, mean {sum(expected) / 24:.3f}" in out


def test_a_reward_that_fails_leaves_the_parts_and_an_edited_one_is_refused(
    call, source, problems, tmp_path
):
    words = f"{SAMPLE} --problems {problems} --reward mine.py:third --out all.parquet"
    status, _, err = call(rollouts.main, words)
    assert status == 2
    assert err.strip().splitlines()[-1] == (
        f"error: --reward mine.py:third: {problems} row 2: it gave None (NoneType), where a finite "
        "float is wanted"
    )
    write = json.dumps  # the first rows go through: a part of two problems is there then
    rows = [{**row, "limit": 1 if n < 2 else 99} for n, row in enumerate(PROBLEMS)]
    (tmp_path / "rows.jsonl").write_text("".join(write(row) + "\n" for row in rows))
    assert call(rollouts.main, words)[0] == 2
    parts = tmp_path / "all.parquet.parts"
    assert [path.name for path in parts.glob("*.parquet")] == ["part-00000.parquet"]
    source.write_text(SOURCE.replace("None", "0.25"))
    status, _, err = call(rollouts.main, words)
    assert status == 2
    assert "all.parquet.parts holds parts sampled with other settings (reward_source" in err
    status, _, err = call(rollouts.main, words.replace("third", "short"))
    assert status == 2
    assert '(reward "mine.py:third" there, "mine.py:short" now' in err
    source.write_text(SOURCE)
    rows[2:] = [{**row, "limit": 2} for row in rows[2:]]
    rows[1]["limit"] = 3  # read by the reward alone: that part is sampled again
    (tmp_path / "rows.jsonl").write_text("".join(write(row) + "\n" for row in rows))
    status, _, err = call(rollouts.main, words)
    assert status == 2
    assert "holds parts sampled with other problems" in err


def test_online_training_sees_the_rewards_and_knows_their_source(call, source, problems, tmp_path):
    words = f"--objective grpo --data {problems} --reward mine.py:short {ONLINE}"
    status, out, err = call(training.main, f"{words} --steps 3 --checkpoint-every 2")
    assert status == 0, err
    assert "rewards: read by their size within a prompt (group_normalised)" in out
    found = step_lines(tmp_path / "run")
    assert all(-2 < line["rollout/reward"] < 1 and "rollout/accuracy" not in line for line in found)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["reward"] == "mine.py:short"
    assert len(config["digests"]["reward"]) == 32
    (tmp_path / "run" / "result.json").unlink()  # as if it had been killed
    source.write_text(SOURCE.replace("1.0 -", "2.0 -"))
    status, _, err = call(training.main, f"{words} --steps 3 --checkpoint-every 2 --resume")
    assert status == 2
    assert "the source of the reward (--reward mine.py:short) changed since the run began" in err
    source.write_text(SOURCE)
    assert call(training.main, f"{words} --steps 3 --checkpoint-every 2 --resume")[0] == 0


def test_one_side_of_0_gives_a_pair_objective_nothing(call, source, problems):
    status, out, err = call(
        training.main,
        f"--objective dpo --data {problems} --reward mine.py:negative {ONLINE} --steps 1",
    )
    assert status == 2
    assert "rewards: a pair is one above 0 and one of 0 or less, of a prompt" in out
    assert "rewards that are alike, or on one side of 0" in err
    assert len(err.strip().splitlines()) == 1


def test_evaluations_have_mean_rewards_and_are_compared(call, source, problems, tmp_path):
    words = f"--problems {problems} --samples 2 --temperature 1 --reward"
    for name in ("one", "two"):
        seed = {"one": 0, "two": 1}[name]
        status, out, err = call(
            evaluation.main, f"{words} mine.py:short --seed {seed} --out {name}"
        )
        assert status == 0, err
    rows = lines(tmp_path / "two" / "completions.jsonl")
    rewards = [1 - len(row["completion"]) / PROBLEMS[row["index"]]["limit"] for row in rows]
    assert [row["reward"] for row in rows] == pytest.approx(rewards)
    assert all("correct" not in row for row in rows)
    (score,) = json.loads((tmp_path / "two" / "summary.json").read_text())["scores"]
    assert score["mean_reward"] == pytest.approx(sum(rewards) / 12)
    assert f"{score['mean_reward']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in out
    status, out, err = call(comparison.main, "one two --out compared")
    assert status == 0, err
    table = pd.read_csv(tmp_path / "compared" / "comparison.csv")
    means = [sum(r["reward"] for r in lines(tmp_path / name / "completions.jsonl")) / 12
             for name in ("one", "two")]  # fmt: skip
    assert list(table["reward"]) == pytest.approx(means)
    assert table["difference"][1] == pytest.approx(means[1] - means[0])
    assert "The reward is the mean over problems" in out
    source.write_text(SOURCE.replace("1.0 -", "2.0 -"))
    status, _, err = call(evaluation.main, f"{words} mine.py:short --seed 1 --out two")
    assert status == 2
    assert "two was begun with other settings (reward_source" in err


def test_rewards_and_answers_are_not_compared_and_grading_again_turns_one_into_the_other(
    call, source, tmp_path
):
    words = "--benchmarks builtin --limit 8 --samples 2 --temperature 1"
    assert call(evaluation.main, f"{words} --out answers")[0] == 0
    assert call(evaluation.main, f"{words} --reward mine.py:right --out mine")[0] == 0
    by_answers, by_reward = (lines(tmp_path / name / "completions.jsonl") for name in
                             ("answers", "mine"))  # fmt: skip
    assert [row["reward"] for row in by_reward] == [float(row["correct"]) for row in by_answers]
    assert 0 < sum(row["reward"] for row in by_reward) < 16
    status, _, err = call(comparison.main, "answers mine")
    assert status == 2
    assert "answers is graded by answers, mine is graded by mine.py:right (source" in err
    again = "--completions answers/completions.jsonl --benchmarks builtin"
    status, out, err = call(evaluation.main, f"{again} --reward mine.py:right --out again")
    assert status == 0, err
    assert "16 completions rewarded, mean" in out
    status, out, err = call(comparison.main, "mine again")
    assert status == 0, err
    assert ".000" in out
    regraded = lines(tmp_path / "again" / "completions.jsonl")
    assert [row["reward"] for row in regraded] == [row["reward"] for row in by_reward]
    assert all("correct" not in row and "answer" not in row for row in regraded)


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [
        (training.main, "--objective fpa --reward mine.py:short",
         "--reward is for --online, which is not given: python -m train.rollouts --reward"),
        (training.main, "--objective grpo --online --reward mine.py:shor",
         "--reward mine.py:shor: mine.py has no shor; did you mean short?"),
        (rollouts.main, "--problems rows.jsonl --reward nowhere.py:f",
         "--reward nowhere.py:f: nowhere.py cannot be read"),
        (rollouts.main, "--problems rows.jsonl --reward mine.py",
         "--reward mine.py: expected my_package.module:function or my_file.py:function"),
        (rollouts.main, "--problems rows.jsonl", "none of the columns answer"),
        (evaluation.main, "--benchmarks builtin --reward no_such_package:f",
         "--reward no_such_package:f: there is no module no_such_package"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_status_2(call, source, problems, main, words, message):
    status, _, err = call(main, words)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
