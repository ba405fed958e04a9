"""Parity with TRL's own losses, recorded on frozen log-probs by oracles/record_trl.py."""

import json
from pathlib import Path

import pytest
import torch

from objectives import Batch, apo_zero, dpo, grpo, ipo, kto, orpo, rpo, simpo
from tests.helpers.zoo import loss_and_gradient

RECORDED = json.loads((Path(__file__).parent / "oracles" / "trl.json").read_text())
POLICY, REFERENCE = (torch.tensor(RECORDED[name]) for name in ("policy", "reference"))
MASK = torch.tensor(RECORDED["mask"])
PAIRS = len(POLICY) // 2  # chosen rows come first

CASES = {
    "dpo": (dpo, {"beta": 0.1}),
    "ipo": (ipo, {"tau": 0.1}),
    "apo_zero": (apo_zero, {"beta": 0.1}),
    "conservative_dpo": (dpo, {"beta": 0.3, "label_smoothing": 0.2}),
    "simpo": (simpo, {"beta": 2.0, "gamma_ratio": 0.5}),
    "orpo": (orpo, {"lambda_or": 0.1}),
    "kto": (kto, {"undesirable_weight": 1.3}),
    "kto_clamped": (kto, {"undesirable_weight": 1.3}),
    "grpo": (grpo, {"clip_high": 0.28}),
    "grpo_constant": (
        grpo,
        {"clip_high": 0.28, "aggregate": "constant", "constant_length": 10},
    ),
    "grpo_token": (grpo, {"clip_high": 0.28, "aggregate": "token"}),
}
# z0: the mean log-ratio of mismatched rows was 0.8, and -0.8, which is clamped.
DIVERGENCE = {"kto": 0.8, "kto_clamped": 0.0}


def batch_of(name):
    reward = torch.tensor([1.0] * PAIRS + [-1.0] * PAIRS)
    if "advantages" in RECORDED[name]:
        reward = torch.tensor(RECORDED[name]["advantages"])
    return Batch(
        mask=MASK,
        reference=REFERENCE,
        anchor=REFERENCE,
        reward=reward,
        pairs=torch.arange(2 * PAIRS).view(2, -1).T,
        divergence=torch.full((2 * PAIRS,), DIVERGENCE.get(name, 0.0)),
    )


@pytest.mark.parametrize("name", CASES)
def test_mean_loss_and_gradient_are_trl_s(name):
    objective, hyper = CASES[name]
    loss, gradient = loss_and_gradient(objective, POLICY, batch_of(name), **hyper)
    torch.testing.assert_close(loss.mean().item(), RECORDED[name]["loss"], rtol=1e-5, atol=1e-6)
    recorded = torch.tensor(RECORDED[name]["gradient"])
    torch.testing.assert_close(gradient / len(loss), recorded, rtol=1e-4, atol=1e-7)


def test_rpo_is_trl_s_with_the_likelihood_of_each_sequence_over_its_own_length():
    """TRL averages the likelihood term over the batch's tokens, the paper over each sequence's.

    TRL's `dpo` plus TRL's `sft` is therefore ours only after exchanging the one for the other.
    """
    batch = batch_of("dpo")
    chosen, lengths = (POLICY * MASK)[:PAIRS].sum(1), MASK[:PAIRS].sum(1)
    by_token, by_sequence = -chosen.sum() / lengths.sum(), -(chosen / lengths).mean()
    assert by_token.item() == pytest.approx(RECORDED["sft"]["loss"], rel=1e-5)
    assert by_token.item() != pytest.approx(by_sequence.item(), rel=1e-2)
    theirs = RECORDED["dpo"]["loss"] + RECORDED["sft"]["loss"] - by_token + by_sequence
    assert rpo(POLICY, batch).mean().item() == pytest.approx(theirs.item(), rel=1e-5)
