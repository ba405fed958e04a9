"""An objective resolved once: all its values, and one clear line for what it has not."""

import json
import pickle

import pytest

from objectives import OBJECTIVES
from objectives.errors import InputError
from train.config.spec import objective_spec, recorded_spec


@pytest.mark.parametrize("name", OBJECTIVES)
def test_without_anything_given_the_defaults_are_complete(name):
    found, objective = objective_spec(name, {}), OBJECTIVES[name]
    assert found.objective is objective
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.hyper == {n: p.default for n, p in objective.hyper_parameters.items()}
    assert found.settings.items() >= dict(objective.settings).items()
    assert (found.future is not None) == ("lam" in objective.settings)


def test_what_is_given_wins_and_numbers_are_of_the_kind_that_is_declared():
    found = objective_spec("fpa_omd", {"lam": 2, "period": 5, "future_from": "lagged:3"})
    assert found.settings == {"lam": 2.0, "period": 5, "future_from": "lagged:3"}
    assert found.future is not None
    assert found.future.lag == 3
    beta = objective_spec("dpo", {"beta": 1}).hyper["beta"]
    assert (beta, type(beta)) == (1.0, float)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fpa", {"lam": "auto", "lam_horizon": 7, "lam_ceiling": 3.0}),
        ("grpo", {"period": 3}),
        ("rise", {"divergence_kind": "js", "lam": 0.2, "coefficient": 0.5}),
        ("kto", {"beta": 0.3}),
        ("sft", {}),
    ],
)
def test_a_spec_is_read_back_from_what_a_run_records(name, given):
    found = objective_spec(name, given)
    record = json.loads(json.dumps({"objective": name, "steps": 3, **found.record()}))
    assert recorded_spec(record) == found


MISTAKES = [
    ("fpo", {}, r"^--objective fpo: no objective has this name; did you mean .*fpa"),
    ("dpo,fpa", {}, "--objective dpo,fpa: name one"),
    ("fpa", {"lamb": 1.0}, r"^--lamb is not a flag of fpa, which has .*; did you mean --lam"),
    ("dpo", {"bta": 0.1}, r"; did you mean --beta"),
    ("dpo", {"steps": 3}, r"^steps is a setting of every run: give it as Config\(steps=...\)"),
    ("dpo", {"beta": "much"}, "--beta 'much': expected a number"),
    ("dpo", {"beta": True}, "--beta True: expected a number"),
    ("fpa", {"apply_to": "none"}, "--apply-to 'none': expected one of both, negative, positive"),
    ("fpa", {"lam": -1}, "--lam -1: expected a number, 0 or more, or auto"),
    ("fpa", {"lam": True}, "--lam True: expected a number, 0 or more, or auto"),
    ("fpa", {"lam_horizon": 20}, "--lam-horizon is for --lam auto, but lam is 1"),
    ("omd", {"period": 2.5}, "--period 2.5: expected a whole number"),
]


@pytest.mark.parametrize(("name", "given", "message"), MISTAKES)
def test_mistakes_get_one_clear_line(name, given, message):
    with pytest.raises(InputError, match=message):
        objective_spec(name, given)
