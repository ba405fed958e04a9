"""The zoo's table, and how an objective joins it."""

import pickle
import re
import subprocess
import sys
from typing import get_args

import pytest
import torch

import objectives
from objectives import OBJECTIVES, Objective, future_policy, per_trajectory
from objectives.batch import log_prob_mean
from tests.helpers.zoo import loss_and_gradient, random_batch


def zoo(*words):
    """Run `python -m objectives` with words; return its status, output and errors."""
    command = [sys.executable, "-m", "objectives", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_zoo_shows_every_objective_with_its_flags_defaults_and_help():
    status, shown, _ = zoo()
    assert status == 0
    assert max(map(len, shown.splitlines())) <= 120
    blocks = {block.partition(":")[0]: " ".join(block.split()) for block in shown.split("\n\n")}
    for name, objective in OBJECTIVES.items():
        if objective.base and name != "fpa":
            assert name in shown.split("\n\n")[-1]
            continue
        assert blocks[name].startswith(f"{name}: a loss per {objective.unit}")
        assert objective.summary in blocks[name]
        for parameter, text in objective.help.items():
            assert f"--{parameter.replace('_', '-')} " in blocks[name]
            assert " ".join(text.split()) in blocks[name]


def test_the_zoo_shows_named_objectives_alone_and_a_form_in_full():
    status, shown, _ = zoo("fpa_dpo", "grpo")
    assert status == 0
    assert re.findall(r"^\w+(?=:)", shown, re.MULTILINE) == ["fpa_dpo", "grpo"]
    flags = [line.split(maxsplit=2) for line in shown.splitlines() if line.startswith("    --")]
    assert flags[0] == ["--beta", "0.1", "strength of the pull to the reference; above 0"]
    defaults = {flag: default for flag, default, _ in flags}
    assert defaults["--lam"] == "1.0"
    assert defaults["--clip-high"] == "none"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fpo", "fpo: no objective has this name; did you mean "),
        ("dpoo", "; did you mean dpo"),
        ("--all", "--all (see --help)"),
    ],
)
def test_the_zoo_answers_mistakes_with_one_line(word, message):
    status, shown, errors = zoo(word)
    assert (status, shown, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("error: ")
    assert len(errors) < 250
    assert message in errors


def test_the_zoo_explains_itself():
    status, shown, _ = zoo("--help")
    assert status == 0
    assert "python -m objectives" in shown


METHOD_NAMES = """
sft reinforce offline_rl fpa dpo ipo rpo kto simper simpo orpo dpop apo_zero topr gate_dpo awr omd
grpo fpa_dpo fpa_rpo fpa_kto fpa_simper fpa_ipo
"""


def test_names_are_those_of_the_method():
    assert set(METHOD_NAMES.split()) <= set(OBJECTIVES)


def test_every_objective_is_documented():
    for name, objective in OBJECTIVES.items():
        assert objective.summary.endswith("."), name
        assert objective.source in objective.summary, f"{name}: name the source in the first line"
        assert "policy" in objective.loss.__doc__, name


def test_every_hyper_parameter_and_setting_has_help():
    for name, objective in OBJECTIVES.items():
        assert list(objective.help) == [*objective.hyper_parameters, *objective.settings]
        for parameter, text in objective.help.items():
            assert text, f"{name}: its docstring has no line `{parameter}: ...`"
            assert not text.endswith("."), f"{name}, {parameter}: {text}"
        for parameter, entry in objective.hyper_parameters.items():
            for choice in filter(lambda x: isinstance(x, str), get_args(entry.annotation)):
                assert choice in objective.help[parameter], f"{name}, {parameter}: say {choice}"


def test_every_objective_whose_coefficients_depend_on_the_policy_has_a_future_form():
    """And no other: there the future policy would change nothing."""
    policy, batch = random_batch()
    for name, objective in OBJECTIVES.items():
        if hasattr(objective.loss, "base"):
            continue
        constant = all(
            torch.equal(
                loss_and_gradient(objective, policy * scale, batch)[1],
                loss_and_gradient(objective, batch.future * scale, batch)[1],
            )
            for scale in (1, 30)  # far from the reference, too, where a hinge is met
        )
        form = objective.future
        if constant:
            assert form is None, f"{name}'s coefficients are constant: it needs no future form"
            continue
        assert form is not None, (
            f"{name} has no future form: write `fpa_{name} = future_policy({name})` below it and "
            f"`future=fpa_{name}` in its entry of objectives/registry.py"
        )
        assert form.base is objective.loss
        assert OBJECTIVES[form.__name__].loss is form


def test_objectives_are_exported_and_can_be_pickled():
    for name, objective in OBJECTIVES.items():
        exported = name in objectives.__all__ and getattr(objectives, name, None)
        assert exported is objective.loss, f"export {name} in objectives/__init__.py"
        assert pickle.loads(pickle.dumps(objective.loss)) is objective.loss


def test_a_new_objective_takes_one_function_and_one_entry():
    @per_trajectory("reward")
    def squared(policy, batch, *, power=2.0):
        """Weigh by a power of the mean log-prob."""
        return batch.reward * log_prob_mean(policy, batch.mask).abs() ** power

    entry = Objective(squared, "")
    assert (entry.name, entry.unit, entry.needs) == ("squared", "trajectory", ("reward",))
    assert entry.hyper_parameters["power"].default == 2.0
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(future_policy(entry.loss), policy, batch)
    torch.testing.assert_close(gradient, loss_and_gradient(entry, batch.future, batch)[1])


def test_whoever_has_read_enough_may_leave():
    command = [sys.executable, "-m", "objectives"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 1
