"""The likelihood guard: what it adds, where it is looked at, and what it is called."""

import copy
import pickle

import pytest
import torch

from objectives import OBJECTIVES, dpo, fpa, fpa_dpo, future_policy, guarded, offline_rl
from objectives.errors import InputError
from tests.helpers.zoo import NAMES, loss_and_gradient, random_batch


def penalties(log_probs, batch):
    """Return by plain loops each row's mean shortfall, and its gradient by hand."""
    values, gradients = [], torch.zeros_like(log_probs)
    for row, tokens in enumerate(batch.mask.sum(1).tolist()):
        below = [(batch.reference[row, t] - log_probs[row, t]).item() for t in range(tokens)]
        values.append(sum(x for x in below if x > 0) / tokens)
        for t in range(tokens):
            gradients[row, t] = -1 / tokens if below[t] > 0 else 0
    return torch.tensor(values, dtype=log_probs.dtype), gradients


@pytest.mark.parametrize("name", NAMES)
def test_it_adds_the_mean_shortfall_of_correct_trajectories(name):
    """Rows of even numbers are the chosen, and those of a reward above 0."""
    policy, batch = random_batch()
    batch = batch._replace(weight=torch.tensor([2.0, 3, 1, 0.5, 1, 0]).double())
    base, mine = OBJECTIVES[name], OBJECTIVES.find(f"guarded_{name}")
    value, gradient = loss_and_gradient(base, policy, batch)
    found, slope = loss_and_gradient(mine, policy, batch, guard=0.7)
    added, push = penalties(policy, batch)
    weight = batch.weight
    if mine.unit == "pair":
        weight = (weight[0::2] * weight[1::2]).repeat_interleave(2)
    added, push = added * weight, push * weight[:, None]
    push[1::2] = 0
    if mine.unit == "trajectory":
        added[1::2] = 0
    else:
        added = added[0::2]
    torch.testing.assert_close(found, value + 0.7 * added, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slope, gradient + 0.7 * push, rtol=1e-12, atol=1e-12)


def test_by_hand():
    """A chosen of two tokens, one .3 below the reference and one above: .1 * .3 / 2 for dpo."""
    _, batch = random_batch(rows=2, length=2, dtype=torch.float32)
    batch = batch._replace(
        mask=torch.ones(2, 2, dtype=torch.bool), reference=torch.tensor([[-0.2, -0.4], [-1, -1.0]])
    )
    policy = torch.tensor([[-0.5, -0.1], [-3.0, -3.0]])
    added = guarded(dpo)(policy, batch) - dpo(policy, batch)
    torch.testing.assert_close(added, torch.tensor([0.015]))
    added = guarded(offline_rl, 2.0)(policy, batch) - offline_rl(policy, batch)
    torch.testing.assert_close(added, torch.tensor([0.3, 0.0]))


@pytest.mark.parametrize("name", ["guarded_dpo", "guarded_fpa", "fpa_guarded_dpo", "guarded_kto"])
def test_at_the_reference_it_is_its_objective(name):
    policy, batch = random_batch(at_reference=True)
    plain = OBJECTIVES[name.replace("guarded_", "")]
    mine, base = (loss_and_gradient(o, policy, batch) for o in (OBJECTIVES[name], plain))
    torch.testing.assert_close(mine, base, rtol=0, atol=0)


def test_a_guarded_form_is_guarded_at_the_policy_and_the_form_of_a_guarded_one_ahead():
    policy, batch = random_batch()
    _, ahead = loss_and_gradient(fpa_dpo, policy, batch)
    for made, at in ((guarded(fpa_dpo), policy), (future_policy(guarded(dpo)), batch.future)):
        value, gradient = loss_and_gradient(made, policy, batch)
        push = penalties(at, batch)[1]
        push[1::2] = 0
        torch.testing.assert_close(gradient, ahead + 0.1 * push, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(value, guarded(dpo)(policy, batch))
    assert not torch.equal(penalties(policy, batch)[1], penalties(batch.future, batch)[1])


def test_names_keywords_and_needs_of_those_that_nest():
    known = {
        "guarded_dpo": (guarded(dpo), None, ["beta", "label_smoothing", "guard"]),
        "guarded_fpa": (guarded(fpa), "guarded_offline_rl", ["granularity", "apply_to", "guard"]),
        "fpa_guarded_dpo": (
            future_policy(guarded(dpo)),
            "guarded_dpo",
            ["beta", "label_smoothing", "guard", "apply_to"],
        ),
    }
    for name, (made, base, keywords) in known.items():
        entry = OBJECTIVES.find(name)
        assert (entry.name, entry.base, made.__name__) == (name, base, name)
        # Those of the zoo may have more keywords than are said here, never others' order.
        assert [k for k in entry.hyper_parameters if k in keywords] == keywords
        assert "reference" in entry.needs
        assert ("lam" in entry.settings) == (base is not None)
        assert all(entry.help.values())
        again = pickle.loads(pickle.dumps(made))
        policy, batch = random_batch()
        torch.testing.assert_close(again(policy, batch), entry(policy, batch))
        assert copy.deepcopy(made).base.__name__ == made.base.__name__


@pytest.mark.parametrize(
    "name", ["fpa_guarded_fpa", "guarded_guarded_dpo", "guarded_fpa_sft", "guarded_", "guarded"]
)
def test_what_nests_no_further_is_no_name(name):
    assert name not in OBJECTIVES
    with pytest.raises(InputError, match=rf"^{name}: no objective has this name"):
        OBJECTIVES.find(name)


def test_what_cannot_be_is_refused():
    policy, batch = random_batch()
    with pytest.raises(ValueError, match="guarded takes an objective"):
        guarded(len)
    with pytest.raises(ValueError, match="guarded_dpo: guard must be 0 or more, got -1"):
        guarded(dpo)(policy, batch, guard=-1)
    with pytest.raises(InputError, match="did you mean guarded_dpo"):
        OBJECTIVES.find("guarded_dpoo")
