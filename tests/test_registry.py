"""The zoo's table, and how an objective joins it."""

import pickle
import subprocess
import sys

import torch

import objectives
from objectives import OBJECTIVES, Objective, future_policy, per_trajectory
from objectives.batch import log_prob_mean
from tests.zoo import loss_and_gradient, random_batch


def test_the_table_lists_every_objective_with_its_defaults():
    shown = subprocess.run(
        [sys.executable, "-m", "objectives"], capture_output=True, text=True, check=True
    )
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert set(OBJECTIVES) <= set(lines)
    assert "beta=0.1, label_smoothing=0.0" in lines["dpo"]
    assert "lam=1.0" in lines["fpa"]
    assert "2402.01306" in lines["kto"]


METHOD_NAMES = """
sft reinforce offline_rl fpa dpo ipo rpo kto simper simpo orpo dpop apo_zero topr gate_dpo awr omd
grpo fpa_dpo fpa_rpo fpa_kto fpa_simper fpa_ipo
"""


def test_names_are_those_of_the_method():
    assert set(METHOD_NAMES.split()) <= set(OBJECTIVES)
    assert all(getattr(objectives, name) is o.loss for name, o in OBJECTIVES.items())


def test_every_objective_is_documented():
    for name, objective in OBJECTIVES.items():
        assert objective.summary.endswith("."), name
        assert "policy" in objective.loss.__doc__, name


def test_every_hyper_parameter_and_setting_has_help():
    for name, objective in OBJECTIVES.items():
        assert list(objective.help) == [*objective.hyper_parameters, *objective.settings]
        for parameter, text in objective.help.items():
            assert text, f"{name}: its docstring has no line `{parameter}: ...`"
            assert not text.endswith("."), f"{name}, {parameter}: {text}"
            assert len(text) < 300, f"{name}, {parameter}: {text}"
    assert "label_smoothing" in OBJECTIVES["dpo"].help


def test_every_objective_whose_coefficients_depend_on_the_policy_has_a_future_form():
    """And no other: there the future policy would change nothing."""
    policy, batch = random_batch()
    for name, objective in OBJECTIVES.items():
        if hasattr(objective.loss, "base"):
            continue
        _, here = loss_and_gradient(objective, policy, batch)
        _, ahead = loss_and_gradient(objective, batch.future, batch)
        form = objective.future
        if torch.equal(here, ahead):
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
        assert name in objectives.__all__, f"import {name} in objectives/__init__.py"
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
