"""The learning rate's schedules: ours to the bit, and those of transformers after our warm-up."""

import math
from functools import partial
from typing import get_args

import pytest
import torch
from transformers import SchedulerType, get_scheduler

from tests.helpers.run_folders import step_lines
from train.__main__ import main
from train.config.schedule import Own, Schedule
from train.config.settings import Config
from train.learning.schedule import rate_factor

OF_THEIRS = {
    "cosine_with_restarts": "num_cycles=3",
    "cosine_with_min_lr": "min_lr_rate=0.1",
    "inverse_sqrt": None,
    "polynomial": "power=2.0,lr_end=0.0",
    "warmup_stable_decay": "num_decay_steps=12,decay_type=1-sqrt",
}
# Their warm-up is ours, and what follows more than the step cannot be told from a checkpoint.
LEFT_OUT = {
    "constant_with_warmup", "cosine_warmup_with_min_lr", "reduce_lr_on_plateau", "greedy",
}  # fmt: skip


def test_the_choices_are_ours_and_those_of_transformers():
    assert {*get_args(Schedule)} == {kind.value for kind in SchedulerType} - LEFT_OUT
    assert {*get_args(Schedule)} == {*get_args(Own), *OF_THEIRS}


def test_ours_have_the_bits_that_they_had():
    """As the formulas stood when the first runs were made, from which some may still go on."""
    for done in range(50):
        assert rate_factor(done, Config(steps=50, warmup_steps=7)) == min(1.0, (done + 1) / 8)
        left = 1 - (done - 7) / 43
        for name, value in {
            "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left)),
        }.items():  # fmt: skip
            config = Config(steps=50, warmup_steps=7, schedule=name)
            assert rate_factor(done, config) == ((done + 1) / 8 if done < 7 else value)


@pytest.mark.parametrize("name", OF_THEIRS)
def test_theirs_follow_our_warm_up(name):
    text = OF_THEIRS[name]
    config = Config(steps=40, warmup_steps=5, schedule=name, schedule_options=text)
    pairs = [word.split("=") for word in text.split(",")] if text else []
    options = {n: v if n == "decay_type" else float(v) for n, v in pairs}
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    theirs = get_scheduler(name, optimizer, 5, 40, options)
    ours, expected = [], []
    for done in range(40):
        ours.append(config.learning_rate * rate_factor(done, config))
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert ours[:5] == [config.learning_rate * ((done + 1) / 6) for done in range(5)]
    assert ours[5:] == pytest.approx(expected[5:], abs=1e-12)
    assert len({*ours[5:]}) > 5


QUICK = "--objective sft --batch-size 4 --eval-problems none --warmup-steps 0"


@pytest.fixture
def train(call):
    return partial(call, main)


def test_a_run_follows_the_schedule(train, tmp_path):
    words = f"{QUICK} --steps 4 --schedule "
    words += "cosine_with_restarts --schedule-options num_cycles=2"
    assert train(words)[0] == 0
    rates = [line["learning_rate"] for line in step_lines(tmp_path / "runs/sft")]
    assert rates == pytest.approx([1e-5, 5e-6, 1e-5, 5e-6])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--schedule cosine --schedule-options num_cycles=3", "--schedule cosine has none"),
        ("--schedule polynomial --schedule-options 3", "expected names with values and commas"),
        ("--schedule polynomial --schedule-options cycles=3", "unexpected keyword argument"),
        ("--schedule warmup_stable_decay", "num_decay_steps"),
        ("--schedule cosine_with_min_lr", "min_lr"),
    ],
)
def test_mistakes_get_one_line(train, tmp_path, words, message):
    status, _, err = train(f"{QUICK} --steps 2 {words}")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
