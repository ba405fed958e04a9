"""The zoo's table, and how an objective joins it."""

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
