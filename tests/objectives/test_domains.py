"""Numbers that an objective does not take are refused, by its function and on a command line."""

import math

import pytest
import torch

from objectives import OBJECTIVES
from objectives.domains import Domain
from objectives.errors import InputError
from tests.helpers.zoo import random_batch
from train.config.spec import objective_spec

NUMBERS = [
    (name, parameter)
    for name, entry in OBJECTIVES.items()
    for parameter, default in entry.defaults.items()
    if parameter in entry.domains or (isinstance(default, (int, float)) and default is not True)
]
NEVER = (math.inf, -math.inf, math.nan)
# Written down apart from the annotations: (largest refused below, least and largest taken, least
# refused above); None: there is no such bound.
BOUNDS = {
    "beta": (0.0, 1e-9, 1e6, None), "tau": (0.0, 1e-9, 1e6, None), "eta": (0.0, 1e-9, 1e6, None),
    "label_smoothing": (-1e-9, 0.0, 0.5, 0.500001), "alpha": (-1e-9, 0.0, 1e6, None),
    "gamma_ratio": (-1e-9, 0.0, 1e6, None), "lambda_or": (-1e-9, 0.0, 1e6, None),
    "lambda_dpop": (-1e-9, 0.0, 1e6, None), "sharpness": (-1e-9, 0.0, 1e6, None),
    "threshold": (-1e-9, 0.0, 1.0, 1.000001), "desirable_weight": (-1e-9, 0.0, 1e6, None),
    "undesirable_weight": (-1e-9, 0.0, 1e6, None), "max_weight": (0.0, 1e-9, 1e6, None),
    "clip": (0.0, 1e-9, 1e6, None), "clip_high": (0.0, 1e-9, 1e6, None),
    "constant_length": (0, 1, 10**6, None), "lam": (-1e-9, 0.0, 1e6, None),
    "period": (-1, 0, 10**6, None), "positive_weight": (-1e-9, 0.0, 1e6, None),
    "negative_weight": (-1e-9, 0.0, 1e6, None), "delta": (None, -1e6, 1e6, None),
    "floor": (0.0, 1e-9, 1e6, None), "margin": (0.0, 1e-9, 0.5, 0.500001),
    "value_beta": (0.0, 1e-9, 1e6, None), "k_positive": (-1e-9, 0.0, 1e6, None),
    "lambda_positive": (-1e-9, 0.0, 1e6, None), "k_negative": (-1e-9, 0.0, 1e6, None),
    "lambda_negative": (-1e-9, 0.0, 1e6, None), "temperature_positive": (0.0, 1e-9, 1e6, None),
    "temperature_negative": (0.0, 1e-9, 1e6, None), "coefficient": (-1e-9, 0.0, 1e6, None),
}  # fmt: skip
OTHER_BOUNDS = {
    ("robust_dpo", "label_smoothing"): (-1e-9, 0.0, 0.49, 0.5),  # divides by 1 - 2ε
    ("exo", "label_smoothing"): (0.0, 1e-9, 0.49, 0.5),  # has its logarithm
}


def test_every_number_has_a_domain():
    assert {parameter for _, parameter in NUMBERS} == BOUNDS.keys()
    assert all(parameter in OBJECTIVES[name].domains for name, parameter in NUMBERS)


@pytest.mark.parametrize(("name", "parameter"), NUMBERS)
def test_what_is_outside_is_refused_and_what_is_inside_taken(name, parameter):
    own_bounds = OTHER_BOUNDS.get((name.removeprefix("fpa_"), parameter))
    below, least, most, above = own_bounds or BOUNDS[parameter]
    policy, batch = random_batch()
    own = OBJECTIVES[name].hyper_parameters
    for value in (below, above, *NEVER):
        if value is None:
            continue
        if parameter in own:
            refusal = rf": {parameter} must be .*, got {value!r}"
            with pytest.raises(ValueError, match=refusal):
                OBJECTIVES[name].loss(policy, batch, **{parameter: value})
        flag = "--" + parameter.replace("_", "-")
        with pytest.raises(InputError, match=rf"^{flag} .*(must be|expected)"):
            objective_spec(name, {parameter: value})
    for value in (least, most):
        assert objective_spec(name, {parameter: value}).record()[parameter] == value
        if parameter in own:
            assert OBJECTIVES[name].loss(policy, batch, **{parameter: value}).isfinite().all()


@pytest.mark.parametrize("name", [n for n in OBJECTIVES if n.endswith("grpo")])
def test_what_goes_together_is_asked_for(name):
    with pytest.raises(InputError, match=r"^--objective grpo: aggregate 'constant' divides by"):
        objective_spec(name, {"aggregate": "constant"})
    objective_spec(name, {"aggregate": "constant", "constant_length": 7})


def test_a_tensor_is_taken_as_it_is():
    policy, batch = random_batch()
    dpo = OBJECTIVES["dpo"].loss
    beta = torch.tensor(0.3, dtype=policy.dtype)
    torch.testing.assert_close(dpo(policy, batch, beta=beta), dpo(policy, batch, beta=0.3))
    own = torch.func.grad(lambda beta: dpo(policy, batch, beta=beta).sum())(beta)
    assert own.isfinite()


@pytest.mark.parametrize(
    ("domain", "text"),
    [(Domain(above=0), "above 0"), (Domain(least=1), "1 or more"), (Domain(), "finite"),
     (Domain(least=0, most=0.5), "0 to 0.5"), (Domain(most=2), "2 or less")],
)  # fmt: skip
def test_domains_in_words(domain, text):
    assert str(domain) == text
