"""Coefficients of chosen and rejected gradients, against the losses' own gradients through θ."""

import pytest
import torch

from diagnostics.entanglement.coefficients import (
    PairCoefficients,
    coefficients_now_and_ahead,
    pair_coefficients,
    token_coefficients,
)
from objectives import OBJECTIVES
from tests.helpers.zoo import NAMES, loss_and_gradient, random_batch


@pytest.mark.parametrize("name", NAMES)
def test_token_coefficients_are_minus_the_gradient(name):
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch)
    ours = token_coefficients(OBJECTIVES[name], policy, batch)
    torch.testing.assert_close(ours, -gradient)
    assert not ours[~batch.mask].any()


def test_dpo_by_hand():
    """-log σ(β(d_w - d_l)): both coefficients β σ(-β(d_w - d_l)), the ratio 1, now and ahead."""
    policy, batch = random_batch()
    s = torch.where(batch.mask, policy - batch.reference, 0.0).sum(-1)
    expected = 0.1 * torch.sigmoid(-0.1 * (s[::2] - s[1::2]))
    found = pair_coefficients(OBJECTIVES["dpo"], policy, batch)
    torch.testing.assert_close(found.chosen, expected)
    torch.testing.assert_close(found.rejected, expected)
    torch.testing.assert_close(found.ratio, torch.ones_like(expected))


def test_offline_rl_and_fpa_by_hand():
    """-r p̄: c_t = r p̄ / n; at the future policy p̄ is that of the future log-probs."""
    policy, batch = random_batch()
    n = batch.mask.sum(-1)

    def by_hand(log_probs):
        c = (torch.where(batch.mask, log_probs, 0.0).sum(-1) / n).exp() / n
        return c[1::2] / c[::2]

    now, ahead = coefficients_now_and_ahead(OBJECTIVES["offline_rl"], policy, batch)
    torch.testing.assert_close(now.ratio, by_hand(policy))
    torch.testing.assert_close(ahead.ratio, by_hand(batch.future))
    for objective in (OBJECTIVES["fpa"], OBJECTIVES["fpa"].loss):
        again = coefficients_now_and_ahead(objective, policy, batch, apply_to="negative")
        torch.testing.assert_close(again[0].ratio, now.ratio)
        torch.testing.assert_close(again[1].ratio, ahead.ratio)
    torch.testing.assert_close(
        pair_coefficients(OBJECTIVES["fpa"], policy, batch).ratio, ahead.ratio
    )


def test_a_row_of_several_pairs_counts_once_in_each():
    policy, batch = random_batch()
    pairs = torch.tensor([[0, 1], [0, 3], [2, 1]])
    for name in ("dpo", "simper", "offline_rl", "kto", "fpa_dpo"):
        together = pair_coefficients(OBJECTIVES[name], policy, batch._replace(pairs=pairs))
        for number in range(len(pairs)):
            one = batch._replace(pairs=pairs[number : number + 1])
            alone = pair_coefficients(OBJECTIVES[name], policy, one)
            torch.testing.assert_close(together.chosen[number], alone.chosen[0])
            torch.testing.assert_close(together.rejected[number], alone.rejected[0])


def test_padding_does_not_matter():
    policy, batch = random_batch()
    junk = torch.where(batch.mask, policy, torch.nan)
    clean = pair_coefficients(OBJECTIVES["rpo"], policy, batch)
    dirty = pair_coefficients(OBJECTIVES["rpo"], junk, batch)
    torch.testing.assert_close(clean, dirty)


def test_ratios_without_a_positive_chosen_coefficient():
    found = PairCoefficients(torch.tensor([0.0, 0, -1, 2]), torch.tensor([1.0, 0, 1, 0])).ratio
    assert found[0] == torch.inf
    assert found[1].isnan()
    assert found[2].isnan()
    assert found[3] == 0
    policy, batch = random_batch()
    assert (pair_coefficients(OBJECTIVES["sft"], policy, batch).ratio == 0).all()


def test_errors():
    policy, batch = random_batch()
    with pytest.raises(ValueError, match=r"batch\.pairs"):
        pair_coefficients(OBJECTIVES["dpo"], policy, batch._replace(pairs=None))
    with pytest.raises(ValueError, match=r"batch\.future"):
        coefficients_now_and_ahead(OBJECTIVES["dpo"], policy, batch._replace(future=None))
