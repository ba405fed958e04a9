"""Every run of the study is one that python -m train takes."""

import pytest

from eval.study.plan import experiment, experiments
from objectives.errors import InputError
from objectives.registry import OBJECTIVES
from train.config.flags import Parser, add_flags, from_flags
from train.config.objective_flags import hyper_parameters
from train.config.settings import Config


@pytest.mark.parametrize("name", experiments())
def test_its_commands_are_ones_that_train_takes(name):
    planned = experiment(name)
    runs = dict(planned.runs())
    assert len(runs) == sum(len(line.rates) for line in planned.lines) * len(planned.seeds)
    for run, words in runs.items():
        parser = Parser("train", None)
        parser.add_argument("--objective")
        add_flags(parser, Config)
        parser.add_argument("--online", action="store_true")
        arguments, rest = parser.parse_known_args(words)
        assert arguments.objective in OBJECTIVES
        hyper_parameters(rest, [arguments.objective], parser.flags)
        config = from_flags(Config, arguments, online=arguments.online)
        assert run.split("/")[1:] == [f"{config.learning_rate:g}", str(config.seed)]


def test_an_experiment_that_it_does_not_have_is_named():
    with pytest.raises(InputError, match="none: not an experiment of the study: chains-screen"):
        experiment("none")
