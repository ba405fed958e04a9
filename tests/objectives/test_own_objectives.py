"""Objectives of others: registered from Python, or named as `module:function`."""

import pytest
import torch

from objectives import OBJECTIVES, per_trajectory
from objectives.batch import log_prob_mean
from objectives.errors import InputError
from tests.helpers.zoo import loss_and_gradient, random_batch

HEAD = "from objectives import per_pair, per_trajectory\nimport torch\n"
SQUARED = HEAD + (
    "@per_trajectory('reward')\n"
    "def squared(policy, batch, *, power=2.0):\n"
    "    '''Weigh the squared mean.\n\n    power: of the mean.'''\n"
    "    mean = torch.where(batch.mask, policy, 0).sum(-1) / batch.mask.sum(-1)\n"
    "    return batch.reward * mean.abs() ** power\n"
    "@per_trajectory('reward')\n"
    "def linear(policy, batch):\n"
    "    return -batch.reward * policy.sum(-1)\n"
)


@pytest.fixture
def own(tmp_path):
    """Return a function that names a function of a file with the given source."""

    def named(source, function="f"):
        (tmp_path / "mine.py").write_text(source)
        return f"{tmp_path}/mine.py:{function}"

    known = dict(OBJECTIVES)
    yield named
    OBJECTIVES._entries.clear()
    OBJECTIVES._entries.update(known)


def test_a_function_of_a_file_is_an_objective_with_its_form(own):
    name = own(SQUARED, "squared")
    policy, batch = random_batch()
    entry, form = OBJECTIVES.find(name), OBJECTIVES.find(name.replace(":", ":fpa_"))
    assert (entry.name, entry.unit, form.base) == (name, "trajectory", name)
    assert entry.hyper_parameters["power"].annotation is float
    assert form.defaults == {"power": 2.0, "apply_to": "both", "lam": 1.0}
    expected = batch.reward * log_prob_mean(policy, batch.mask) ** 2
    torch.testing.assert_close(entry(policy, batch), expected)
    _, ahead = loss_and_gradient(form, policy, batch)
    torch.testing.assert_close(ahead, loss_and_gradient(entry, batch.future, batch)[1])
    with pytest.raises(InputError, match="do not depend on the policy"):
        OBJECTIVES.find(name.replace("squared", "fpa_linear"))


def test_an_edited_file_is_run_again_and_has_another_digest(own):
    first = OBJECTIVES.find(own(SQUARED, "squared"))
    again = OBJECTIVES.find(own(SQUARED.replace("batch.reward *", "3 * batch.reward *"), "squared"))
    policy, batch = random_batch()
    torch.testing.assert_close(again(policy, batch), 3 * first(policy, batch))
    assert None not in (first.digest, again.digest)
    assert first.digest != again.digest


TRAJECTORY = HEAD + "@per_trajectory('reward')\n"


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        ("def f(policy, batch): return policy.sum(-1)", "f", "put @per_trajectory"),
        ("f = 3", "f", "f is a int, not a function"),
        ("def wide(): pass", "wode", "has no wode; did you mean wide?"),
        ("1 / 0", "f", r"ZeroDivisionError: division by zero \(.*mine.py line 1"),
        ("def f(:", "f", r"SyntaxError: .*mine.py line 1"),
        ("raise SystemExit(3)", "f", "SystemExit: 3"),
        ("import no_such_thing", "f", "No module named 'no_such_thing'"),
        (TRAJECTORY + "def f(policy, batch, power): return policy.sum(-1)", "f", "after the *"),
        (TRAJECTORY + "def f(policy, batch, *, x=[1]): return policy.sum(-1)", "f", "annotate it"),
        (TRAJECTORY + "def f(policy, batch, *, lam=1.0): return policy.sum(-1)", "f", "rename it"),
        (TRAJECTORY + "def f(policy, batch): return policy.mean()", "f", r"\(6,\), got \(\) "),
        (TRAJECTORY + "def f(policy, batch): return 0.5", "f", "got float"),
        (TRAJECTORY + "def f(policy, batch): return batch.reward", "f", "do not depend"),
        (TRAJECTORY + "def f(policy, batch): return (policy * 0).log().sum(-1)", "f", "not a fini"),
        (TRAJECTORY + "def f(policy, batch):\n  return policy.no(-1)", "f",
         r"no attribute 'no' \(.*mine.py line 5: `return policy.no\(-1\)`\)"),
        ("@", "f:", "expected my_package.module:function"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_answered_in_one_line(own, source, function, message):
    name = own(source, function)
    with pytest.raises(InputError, match=message) as caught:
        OBJECTIVES.find(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no_such_package.part:f", "/no/such/file.py:f"])
def test_what_is_not_there_is_named(name):
    with pytest.raises(InputError, match=f"^{name}: .*(no module no_such_package|cannot be read)"):
        OBJECTIVES.find(name)


def test_a_name_is_registered_once(own):
    @OBJECTIVES.register(advantage="group_centred")
    @per_trajectory("reward")
    def mine(policy, batch, *, scale: float = 1.0):
        """Weigh the mean probability."""
        return -scale * batch.reward * log_prob_mean(policy, batch.mask).exp()

    assert OBJECTIVES["mine"].advantage == OBJECTIVES["fpa_mine"].advantage == "group_centred"
    with pytest.raises(InputError, match=r"^mine: this name is taken"):
        OBJECTIVES.register(mine)
    with pytest.raises(InputError, match=r"^fpa: this name is taken"):
        OBJECTIVES.register(mine, name="fpa")
    OBJECTIVES.unregister("mine")
    assert not {"mine", "fpa_mine"} & set(OBJECTIVES)
    with pytest.raises(InputError, match=r"^dpo: not registered"):
        OBJECTIVES.unregister("dpo")
    with pytest.raises(InputError, match="advantage 'none' is not one of"):
        OBJECTIVES.register(mine, advantage="none")
