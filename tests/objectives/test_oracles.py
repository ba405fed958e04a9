"""Parity with TRL's own losses, recorded on frozen log-probs by oracles/record_trl.py."""

import json
from pathlib import Path

import pytest
import torch

import objectives
from objectives import Batch, rpo
from tests.helpers.zoo import loss_and_gradient

RECORDED = json.loads((Path(__file__).parent / "oracles" / "trl.json").read_text())
POLICY, REFERENCE = (
    torch.tensor(RECORDED[name], dtype=torch.float64) for name in ("policy", "reference")
)
MASK = torch.tensor(RECORDED["mask"])
PAIRS = len(POLICY) // 2  # chosen rows come first

# The objective, where it is not called as what was recorded, and its hyper-parameters.
CASES = {
    "dpo": ("dpo", {"beta": 0.1}),
    "ipo": ("ipo", {"tau": 0.1}),
    "apo_zero": ("apo_zero", {"beta": 0.1}),
    "conservative_dpo": ("dpo", {"beta": 0.3, "label_smoothing": 0.2}),
    "simpo": ("simpo", {"beta": 2.0, "gamma_ratio": 0.5}),
    "orpo": ("orpo", {"lambda_or": 0.1}),
    "kto": ("kto", {"undesirable_weight": 1.3}),
    "kto_clamped": ("kto", {"undesirable_weight": 1.3}),
    "grpo": ("grpo", {"clip_high": 0.28}),
    "grpo_constant": (
        "grpo",
        {"clip_high": 0.28, "aggregate": "constant", "constant_length": 10},
    ),
    "grpo_token": ("grpo", {"clip_high": 0.28, "aggregate": "token"}),
    "robust_dpo": ("robust_dpo", {"label_smoothing": 0.1}),
    "dpo_norm": ("dpo_norm", {"beta": 5.0}),
    "hinge": ("hinge", {}),
    "exo": ("exo", {}),
    "nca": ("nca", {"beta": 0.1}),
    "bco": ("bco", {}),
    "sppo_hard": ("sppo_hard", {"beta": 0.1}),
    "apo_down": ("apo_down", {}),
    "wpo_dpo": ("wpo_dpo", {}),
    "a_star_po": ("a_star_po", {}),
    "dft": ("dft", {}),
    "vespo": ("vespo", {}),
    "cispo": ("cispo", {"clip_high": 1.5}),
    "sapo": ("sapo", {}),
}
# z0: the mean log-ratio of mismatched rows was 0.8, and -0.8, which is clamped.
DIVERGENCE = {"kto": 0.8, "kto_clamped": 0.0}
IN_FLOAT32 = {"orpo"}  # as TRL computes it
ONLY_CORRECT = {"dft"}  # recorded on the chosen rows


def batch_of(name):
    recorded = RECORDED[name]
    reward = recorded.get("advantages", [1.0] * PAIRS + [-1.0] * PAIRS)
    rate = recorded.get("solve_rate", [0.5] * 2 * PAIRS)
    return Batch(
        mask=MASK,
        reference=REFERENCE,
        anchor=REFERENCE,
        reward=torch.tensor(reward, dtype=torch.float64),
        pairs=torch.arange(2 * PAIRS).view(2, -1).T,
        divergence=torch.full((2 * PAIRS,), DIVERGENCE.get(name, 0.0), dtype=torch.float64),
        collision=torch.tensor(RECORDED["collision"], dtype=torch.float64),
        solve_rate=torch.tensor(rate, dtype=torch.float64),
    )


@pytest.mark.parametrize("name", CASES)
def test_mean_loss_and_gradient_are_trl_s(name):
    function, hyper = CASES[name]
    objective = getattr(objectives, function)
    loss, gradient = loss_and_gradient(objective, POLICY, batch_of(name), **hyper)
    count = PAIRS if name in ONLY_CORRECT else len(loss)
    precision = 1e-6 if name in IN_FLOAT32 else 1e-12
    assert loss.sum().item() / count == pytest.approx(RECORDED[name]["loss"], rel=precision)
    recorded = torch.tensor(RECORDED[name]["gradient"], dtype=torch.float64)
    torch.testing.assert_close(gradient / count, recorded, rtol=precision, atol=1e-14)


def test_rpo_is_trl_s_with_the_likelihood_of_each_sequence_over_its_own_length():
    """TRL averages the likelihood term over the batch's tokens, the paper over each sequence's.

    TRL's `dpo` plus TRL's `sft` is therefore ours only after exchanging the one for the other.
    """
    batch = batch_of("dpo")
    chosen, lengths = (POLICY * MASK)[:PAIRS].sum(1), MASK[:PAIRS].sum(1)
    by_token, by_sequence = -chosen.sum() / lengths.sum(), -(chosen / lengths).mean()
    assert by_token.item() == pytest.approx(RECORDED["sft"]["loss"], rel=1e-12)
    assert by_token.item() != pytest.approx(by_sequence.item(), rel=1e-2)
    theirs = RECORDED["dpo"]["loss"] + RECORDED["sft"]["loss"] - by_token + by_sequence
    assert rpo(POLICY, batch).mean().item() == pytest.approx(theirs.item(), rel=1e-12)


def test_what_is_recorded_is_what_trl_gives():
    trl = pytest.importorskip("trl", reason="TRL's own code is run where it is installed")
    if trl.__version__ != RECORDED["trl"]:
        pytest.skip(f"recorded from TRL {RECORDED['trl']}, and {trl.__version__} is installed")
    from tests.objectives.oracles.record_trl import recorded

    now = recorded()
    assert now.keys() == RECORDED.keys()
    for name, kept in RECORDED.items():
        if isinstance(kept, dict):
            assert now[name]["loss"] == pytest.approx(kept["loss"], rel=1e-12), name
            torch.testing.assert_close(
                torch.tensor(now[name]["gradient"]), torch.tensor(kept["gradient"])
            )
