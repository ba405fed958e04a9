"""Cosine, split, window and regime from inner products; predicted against measured small steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.entanglement.gram import pair_grams
from diagnostics.entanglement.pair_products import (
    REGIMES,
    first_order_changes,
    products,
    regime,
    split,
)
from diagnostics.entanglement.small_step import measured_changes
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import pack
from tests.diagnostics.entanglement.test_gradients import splits
from tests.helpers.tiny import NAMES, TOKENS, model


def of_vectors(*pairs):
    """Return the products of pairs of vectors."""
    pairs = torch.tensor(pairs, dtype=torch.float64)
    return products(pairs @ pairs.mT)


def names(codes):
    return [REGIMES[code] for code in codes]


def test_by_hand():
    """g_w = (2, 0), g_l = (1, 1): ip 2, norms 4 and 2, cosine 2 / (2 sqrt 2), window (1, 2)."""
    of = of_vectors([[2, 0], [1, 1]], [[1, 0], [-1, 0]])
    assert of.inner.tolist() == [2, -1]
    assert of.square_chosen.tolist() == [4, 1]
    assert of.square_rejected.tolist() == [2, 1]
    assert of.cosine.tolist() == pytest.approx([2**-0.5, -1])
    assert of.normalised.tolist() == [1, -1]  # by the smaller norm, the rejected's
    low, high = of.window
    assert low.tolist() == [1, 0]
    assert high.tolist() == [2, torch.inf]


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.5, "both up"), (1, "both up"), (1.5, "ideal"), (3, "both down")]
)
def test_regimes_by_hand(ratio, expected):
    of = of_vectors([[2, 0], [1, 1]])
    assert names(regime(of, 1.0, ratio)) == [expected]
    assert names(regime(of, torch.tensor([2.0]), torch.tensor([2.0 * ratio]))) == [expected]


def test_regimes_at_the_edges():
    """Identical and vanishing gradients, infinite and missing ratios, a negative coefficient."""
    same, one_sided = of_vectors([[1, 2], [1, 2]]), of_vectors([[1, 0], [0, 0]])
    assert names(regime(same, 1.0, 1.0)) == ["still"]
    assert names(regime(same, 1.0, 0.9)) == ["both up"]
    assert names(regime(same, 0.0, 1.0)) == ["both down"]
    assert names(regime(one_sided, 1.0, 1.0)) == ["both up"]
    assert one_sided.cosine.item() == one_sided.normalised.item() == 0
    assert names(regime(of_vectors([[1, 0], [0, 1]]), -1.0, -1.0)) == ["reversed"]
    assert regime(same, 1.0, float("nan")).tolist() == [-1]


vectors = st.lists(st.floats(-3, 3, width=16), min_size=3, max_size=3)


@given(vectors, vectors, st.floats(0.01, 100), st.floats(0.01, 100))
def test_regime_window_and_cauchy_schwarz_agree(w, x, c_w, c_l):
    of = of_vectors([w, x])
    found = names(regime(of, c_w, c_l))[0]
    up, down = (change.item() for change in first_order_changes(of, c_w, c_l))
    low, high = (bound.item() for bound in of.window)
    scale = 1e-9 * (1 + c_w + c_l) * (1 + of.square_chosen.item() + of.square_rejected.item())
    if min(abs(up), abs(down)) > scale:  # away from rounding
        assert found != "reversed"
        assert (found == "ideal") == (low < c_l / c_w < high)
        assert (found == "both up") == (up > 0 and down > 0)
        assert (found == "both down") == (up < 0 and down < 0)
    # METHOD's case of equal coefficients, which needs both norms
    smaller = min(of.square_chosen.item(), of.square_rejected.item())
    if abs(of.inner.item() - smaller) > 1e-9 * (1 + smaller) and smaller > 1e-9:
        equal = names(regime(of, 1.0, 1.0))[0]
        assert (equal == "ideal") == (of.inner.item() < smaller)
        assert (of.normalised.item() < 1) == (of.inner.item() < smaller)


def test_split():
    """Parts (1,0), (0,2) of w and (3,1), (-1,0) of l: 3, -1, 2, 0, and ip 4."""
    parts = torch.tensor([[1.0, 0], [0, 2], [3, 1], [-1, 0]])
    gram = (parts @ parts.T)[None]
    found = split(gram)
    assert [x.item() for x in found] == [3, -1, 2, 0]
    assert found.inner.item() == products(gram).inner.item() == 4
    assert found.shares.tolist() == [[0.75, -0.25, 0.5, 0]]
    assert products(gram).square_chosen.item() == 5
    assert products(gram).square_rejected.item() == 5
    with pytest.raises(ValueError, match=r"\(N, 4, 4\)"):
        split(gram[:, :2, :2])
    with pytest.raises(ValueError, match=r"\(N, 2P, 2P\)"):
        products(gram[:, :3, :3])


@pytest.mark.parametrize("name", NAMES)
def test_a_measured_small_step_is_as_predicted(name):
    policy, trajectories = model(name), pack(TOKENS)
    before = [p.clone() for p in policy.parameters()]
    parameters = select_parameters(policy)
    of = products(pair_grams(policy, trajectories, splits(), parameters))
    chosen = torch.tensor([1.0, 0.5, 0.2], dtype=torch.float64)
    rejected = torch.tensor([0.3, 0.5, 2.0], dtype=torch.float64)
    rate = 1e-6 / of.square_chosen.add(of.square_rejected).max().item()
    predicted = first_order_changes(of, chosen, rejected, rate)
    measured = measured_changes(policy, trajectories, parameters, chosen, rejected, rate)
    scale = max(x.abs().max().item() for x in predicted)
    for ours, truth in zip(predicted, measured, strict=True):
        torch.testing.assert_close(ours, truth, rtol=1e-4, atol=1e-4 * scale)
    assert all(map(torch.equal, before, policy.parameters()))
    with pytest.raises(ValueError, match="as many coefficients as pairs"):
        measured_changes(policy, trajectories, parameters, chosen[:2], rejected, rate)


def test_a_head_only_step():
    policy, trajectories = model("llama untied"), pack(TOKENS[:2])
    parameters = select_parameters(policy, "head")
    of = products(pair_grams(policy, trajectories, splits()[:2, :, :5], parameters))
    one = torch.ones(1, dtype=torch.float64)
    predicted = torch.stack(first_order_changes(of, one, one, 1e-6))
    measured = torch.stack(measured_changes(policy, trajectories, parameters, one, one, 1e-6))
    torch.testing.assert_close(predicted, measured, rtol=1e-4, atol=0)
