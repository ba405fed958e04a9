"""`python -m train`: what it writes, and one clear line with status 2 for what is wrong."""

import re
from functools import partial
from importlib import import_module

import pytest

from objectives import OBJECTIVES
from objectives.command import version_text
from train.__main__ import main
from train.config.flags import flag_name
from train.config.future import FUTURE_FLAGS
from train.config.other_names import OURS
from train.config.recipe import recipe_names
from train.config.settings import Config
from train.store.folder import read_metrics

ROW = {"prompt": "1+2=", "completion": "#3", "reward": 1.0}
WRONG = {"prompt": "1+2=", "completion": "#4", "reward": -1.0}


@pytest.fixture
def train(call):
    return partial(call, main)


MISTAKES = [
    ("", "name an objective with --objective"),
    ("--objective fpo", "--objective fpo: no objective has this name; did you mean "),
    (
        "--objective fpa --beta 0.1",
        "--beta is not a flag of fpa, which has --apply-to, --future",
    ),
    ("--objective fpa --beta 0.1", "; it is one of dpo, rpo, kto, "),
    ("--objective fpa --learning_rat 3", "; did you mean --learning-rate or "),
    ("--objective dpo --betta 3", "; did you mean --beta"),
    ("--objective fpa --online_sample=3", "; did you mean --online-samples"),
    ("--objective fpa --output_dir x", "error: --output_dir: here it is --out"),
    ("--objective fpa --bf16", "--bf16: here it is --dtype: as in --dtype bfloat16"),
    ("--objective fpa --report_to=wandbb", "--report-to wandbb: there are tensorboard, trackio"),
    ("--objective fpa --learning_rate -1", "--learning-rate -1.0: must be above 0"),
    ("--objective fpo --help", "--objective fpo: no objective has this name; did you mean "),
    ("--objective dpo --beta much", "--beta much: could not convert"),
    ("--objective dpo --beta", "--beta needs a value"),
    ("--objective fpa --apply-to none", "--apply-to none: choose from both, negative, positive"),
    ("--objective fpa --learning-rate -1", "--learning-rate -1.0: must be above 0"),
    ("--objective fpa --learning-rate fast", "argument --learning-rate: invalid float value"),
    ("--objective fpa --batch-size 0", "--batch-size 0: must be above 0"),
    ("--objective fpa --schedule step", "argument --schedule: invalid choice: 'step'"),
    ("--objective fpa --model ./nowhere", "--model ./nowhere: no model folder there"),
    ("--objective fpa --model no/such", "--model no/such: not a causal model"),
    ("--objective fpa --data missing.jsonl", "--data missing.jsonl: no such file"),
    ("--objective fpa --data table.txt", "expected a file ending in .jsonl, .json"),
    ("--objective fpa --eval-problems missing.jsonl", "missing.jsonl: no such file of problems"),
    ("--objective fpa --lam often", "--lam often: expected a number, 0 or more, or auto"),
    ("--objective fpa --lam -1", "--lam -1: expected a number, 0 or more, or auto"),
    ("--objective dpo --lam auto", "--lam is not a flag of dpo"),
    ("--objective fpa --lam-horizon 20", "--lam-horizon is for --lam auto, but lam is 1"),
    ("--objective fpa --lam auto --lam-horizon 0", "--lam auto: horizon and lag must be 1 or more"),
    ("--objective fpa --lam auto --lam-floor 3", "--lam auto: 0 <= floor <= ceiling must hold"),
    ("--objective fpa --lam auto --lam-smoothing 1", "--lam auto: smoothing must be in [0, 1)"),
    (
        "--objective fpa --future-from lagged",
        "expected initial, ratio, shuffled, constant, or ",
    ),
    (
        "--objective fpa --future-from lagged:0",
        "expected initial, ratio, shuffled, constant, or ",
    ),
    (
        "--objective fpa --max-tokens 5",
        "prompt of 5 tokens or more); --max-tokens or the",
    ),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_get_one_line_and_status_2(train, tmp_path, words, message):
    (tmp_path / "table.txt").write_text("prompt completion reward")
    status, _, err = train(words)
    lines = err.strip().splitlines()
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "runs").exists()


TABLES = [
    ([], "rows.jsonl holds no rows: expected the columns prompt, completion, reward"),
    ([{"prompt": "1+2=", "reward": 1}], "rows.jsonl: no column completion among prompt, reward"),
    ([ROW, {**ROW, "reward": float("nan")}], "rows.jsonl row 2: reward is nan"),
    ([ROW, {**ROW, "reward": "good"}], "rows.jsonl row 2: reward is 'good'"),
    ([WRONG, WRONG], "of 2 trajectories 0 are correct"),
    ([ROW, ROW], "a pair needs a correct and an incorrect one of one prompt"),
    ([{**ROW, "prompt": "1+" * 80}, WRONG], "left out: 1 prompt of 128 tokens or more"),
]


@pytest.mark.parametrize(("rows", "message"), TABLES)
def test_bad_tables_get_one_line_and_status_2(train, write_rows, rows, message):
    status, _, err = train(f"--objective dpo --data {write_rows(rows)}")
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert message in err


def test_a_folder_that_holds_a_run_is_not_written_over(train, tmp_path):
    kept = tmp_path / "runs" / "fpa" / "metrics.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}\n")
    status, _, err = train("--objective offline_rl,fpa")
    assert status == 2
    assert "runs/fpa already holds a run: name another with --out, or remove it" in err
    assert kept.read_text() == "{}\n"


QUICK = "--steps 2 --batch-size 8 --eval-limit 5 --eval-samples 1 --eval-every 0"


@pytest.mark.parametrize("problems", ["--eval-problems none", "--eval-limit 3 --eval-samples 0"])
def test_no_steps_evaluate_the_base_and_end_well(train, tmp_path, problems):
    words = f"--objective fpa,dpo --steps 0 {problems}"
    status, out, _ = train(words)
    evaluated, folder = "none" not in problems, tmp_path / "runs" / "dpo"
    assert status == 0
    assert ("greedy accuracy" in out) == evaluated
    assert len(read_metrics(folder)) == 1 + evaluated  # fixed rows
    assert (folder / "plots" / "training.png").exists() == evaluated
    assert ("training.png" in (folder / "README.md").read_text()) == evaluated
    assert "2 of 2 runs are done already" in train(f"{words} --resume")[1]


def test_several_objectives_end_in_one_table(train, tmp_path):
    status, out, _ = train(f"--objective dpo,fpa --beta 0.2 --lam 2 {QUICK}")
    assert status == 0
    table = out[out.index("objective ") :].splitlines()
    assert [line.split()[0] for line in table[:3]] == ["objective", "dpo", "fpa"]
    for name in ("dpo", "fpa"):
        folder = tmp_path / "runs" / name
        assert (folder / "plots" / "training.png").stat().st_size > 10_000
        assert (
            f"--objective dpo,fpa --beta 0.2 --lam 2 {QUICK}" in (folder / "README.md").read_text()
        )
    assert '"beta": 0.2' in (tmp_path / "runs" / "dpo" / "config.json").read_text()
    assert '"lam": 2.0' in (tmp_path / "runs" / "fpa" / "config.json").read_text()
    assert (tmp_path / "runs" / "comparison.png").exists()


def test_own_data_and_problems(train, write_rows, tmp_path):
    rows = write_rows([ROW, WRONG])
    problems = write_rows([{"question": "1+2", "answer": "3"}], "problems.jsonl")
    status, out, _ = train(
        f"--objective simper --data {rows} --steps 2 --batch-size 2 --eval-problems {problems} "
        f"--eval-max-new-tokens 4 --eval-samples 0 --out mine"
    )
    assert status == 0
    assert "greedy accuracy" in out
    assert (tmp_path / "mine" / "checkpoints" / "step-2" / "model.safetensors").exists()


def test_the_list(train):
    status, out, _ = train("--list")
    assert status == 0
    assert {*OBJECTIVES, *recipe_names()} <= set(re.findall(r"[\w.-]+", out))
    assert max(map(len, out.splitlines())) <= 120


def test_help_is_in_the_groups_of_settings_and_says_what_is_wanted(train):
    status, out, _ = train("--help")
    assert status == 0
    titles = [f"\n{group.__doc__.removesuffix('.')}:\n" for group in Config.__bases__]
    places = [out.index(title) for title in reversed(titles)]
    assert places == sorted(places)
    assert "--steps STEPS" in out
    assert "--schedule constant|linear|cosine" in out
    assert "(default: 300)" in out
    assert "(default: None)" not in out
    assert "--apply-to" not in out


def test_help_shows_the_named_objectives_flags_with_what_they_mean(train):
    out = " ".join(train("--objective fpa,grpo --help")[1].split())
    for name in ("fpa", "grpo"):
        assert OBJECTIVES[name].summary.removesuffix(".") in out
        for text in OBJECTIVES[name].help.values():
            assert name == "fpa" or text in out
    for flag in FUTURE_FLAGS.values():
        assert flag.help in out
    assert out.count("--period N") == 1


DOORS = [
    "train", "train.dataset_report", "train.memory", "train.merge", "train.rollouts",
    "train.worked_answers",
    "train.builtin.make", "eval", "eval.compare", "diagnostics.entanglement",
    "diagnostics.extrapolation", "objectives",
]  # fmt: skip


@pytest.mark.parametrize("module", DOORS)
def test_every_command_has_a_version_and_is_called_by_its_name(call, module):
    name = f"{module}.__main__" if hasattr(import_module(module), "__path__") else module
    own = import_module(name).main
    status, out, _ = call(own, "--version")
    assert (status, out) == (0, version_text() + "\n")
    status, out, _ = call(own, "--help")
    assert status == 0
    assert out.startswith(f"usage: python -m {module} ")
    assert not re.search(r"\(default: (None|False)?\)", out)
    status, _, err = call(own, "--no-such-flag-at-all")
    assert status == 2
    assert len(err.splitlines()) == 1


def test_a_flag_is_found_under_its_underscores_on_every_command(call):
    from train.memory.__main__ import main as memory

    assert call(memory, "--micro_batches 3")[2].startswith("error: unrecognized arguments: ")
    assert "did you mean --lora-rank" in call(memory, "--lora-ranks 3")[2]
    assert "--lora-rank 0: must be above 0" in call(memory, "--lora_rank=0")[2]
    assert "here it is --lora-rank" in call(memory, "--lora_r 3")[2]


def test_names_of_other_trainers_are_answered_with_flags_that_are_there(train, call):
    flags = re.findall(r"--[a-z-]+", train("--help")[1])
    for name, (ours, words) in OURS.items():
        assert set(ours) <= set(flags), name
        assert ours or words, name
        assert flag_name(name) not in flags, name
