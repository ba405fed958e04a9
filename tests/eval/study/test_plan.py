"""Every run of the study is one that python -m train takes."""

import pytest

from eval.__main__ import Settings
from eval.study.plan import experiment, experiments
from objectives.errors import InputError
from objectives.registry import OBJECTIVES
from train.config.flags import Parser, add_flags, from_flags
from train.config.objective_flags import hyper_parameters
from train.config.settings import Config


def _names(command):
    return [name for name, planned in experiments().items() if planned.command == command]


@pytest.mark.parametrize("name", experiments())
def test_each_seed_of_each_line_at_each_value_is_one_run(name):
    planned = experiment(name)
    runs = list(planned.runs())
    assert len(runs) == sum(len(line.values) for line in planned.lines) * len(planned.seeds)
    assert len({name for name, _ in runs}) == len(runs)


@pytest.mark.parametrize("name", _names("eval"))
def test_its_commands_are_ones_that_eval_takes(name):
    planned = experiment(name)
    trained = dict(experiment("chains").runs())
    for run, words in planned.runs():
        parser = Parser("eval", None)
        add_flags(parser, Settings)
        settings = from_flags(Settings, parser.parse_args(words))
        _, value, seed = run.split("/")
        assert getattr(settings, planned.varied) == float(value)
        of_run, step = settings.model.removeprefix("RUNS/chains/").split("/checkpoints/step-")
        assert of_run.endswith(f"/{seed}")
        words = trained[of_run]
        assert words[words.index("--steps") + 1] == step


@pytest.mark.parametrize("name", _names("train"))
def test_its_commands_are_ones_that_train_takes(name):
    for run, words in experiment(name).runs():
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
