"""Each objective on numbers worked out by hand.

Two rows of two tokens, chosen first. Chosen: log-probs -0.1, -0.3, so s = -0.4, m = -0.2; under the
reference -0.2, -0.4, so s0 = -0.6, m0 = -0.3 and d = 0.2. Rejected: -1.0, -0.6, so s = -1.6,
m = -0.8; under the reference -0.5, -0.5, so s0 = -1.0, m0 = -0.5 and d = -0.6.
"""

import math

import pytest
import torch

import objectives
from objectives import Batch
from tests.helpers.zoo import loss_and_gradient

POLICY = torch.tensor([[-0.1, -0.3], [-1.0, -0.6]], dtype=torch.float64)
REFERENCE = torch.tensor([[-0.2, -0.4], [-0.5, -0.5]], dtype=torch.float64)
BATCH = Batch(
    mask=torch.ones(2, 2, dtype=torch.bool),
    reference=REFERENCE,
    anchor=REFERENCE,
    previous_anchor=POLICY,
    reward=torch.tensor([1.0, -1.0], dtype=torch.float64),
    pairs=torch.tensor([[0, 1]]),
    divergence=torch.full((2,), 0.5, dtype=torch.float64),
    collision=torch.tensor([[-0.3, -0.1], [-0.2, -0.4]], dtype=torch.float64),
    solve_rate=torch.full((2,), 0.25, dtype=torch.float64),
    future_divergence=torch.tensor([[0.1, 0.3], [0.2, 0.6]], dtype=torch.float64),
)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def log_sigmoid(x):
    return math.log(sigmoid(x))


def log_odds(mean):
    return mean - math.log(1 - math.exp(mean))


M_W, M_L, D_W, D_L = -0.2, -0.8, 0.2, -0.6
DPO = -log_sigmoid(0.1 * (D_W - D_L))  # margin 0.1 * 0.8
NEGATIVE = [(1 - math.exp(x) / 4) / 0.75 for x in (-0.5, -0.1)]  # nft's implicit ratio, p = 1/4
VALUE = math.log((math.exp(2) + 3) / 4) / 2
VALUE_AT_1 = math.log((math.e + 3) / 4)

CASES = [
    ("sft", {}, [0.2, 0.0]),
    ("reinforce", {}, [0.2, -0.8]),
    ("reinforce", {"positive_weight": 0.1, "negative_weight": 0.5}, [0.02, -0.4]),
    ("w_reinforce", {}, [0.02, -0.8]),
    ("nsr", {}, [0.0, -0.8]),
    ("psr", {}, [0.2, 0.0]),
    ("redi", {}, [0.2 - 0.8 * 0.8]),
    # V = δ = -0.1 below a mean of 0: advantages 1.1 and -0.9
    ("asymre", {}, [0.22, -0.72]),
    ("dft", {}, [(0.1 * math.exp(-0.1) + 0.3 * math.exp(-0.3)) / 2, 0.0]),
    ("offline_rl", {}, [-math.exp(M_W), math.exp(M_L)]),
    ("offline_rl", {"positive_weight": 3.0, "negative_weight": 0.0}, [-3 * math.exp(M_W), 0.0]),
    (
        "offline_rl",
        {"granularity": "token"},
        [-(math.exp(-0.1) + math.exp(-0.3)) / 2, (math.exp(-1.0) + math.exp(-0.6)) / 2],
    ),
    ("dpo", {}, [DPO]),
    (
        "dpo",
        {"beta": 0.5, "label_smoothing": 0.1},
        [-0.9 * log_sigmoid(0.4) - 0.1 * log_sigmoid(-0.4)],
    ),
    # mean log-ratios 0.1 and -0.3: (0.4 - 1 / 0.2)²
    ("ipo", {}, [(0.4 - 5.0) ** 2]),
    ("rpo", {}, [DPO + 0.2]),
    ("rpo", {"alpha": 0.5, "beta": 1.0}, [-log_sigmoid(0.8) + 0.1]),
    # z0 = 0.5: 1 - σ(0.1 (0.2 - 0.5)) and 1 - σ(0.1 (0.5 + 0.6))
    ("kto", {}, [1 - sigmoid(-0.03), 1 - sigmoid(0.11)]),
    (
        "kto",
        {"desirable_weight": 2.0, "undesirable_weight": 3.0},
        [2 * (1 - sigmoid(-0.03)), 3 * (1 - sigmoid(0.11))],
    ),
    ("simper", {}, [-math.exp(M_W) + math.exp(M_L)]),
    ("simpo", {}, [-log_sigmoid(2 * 0.6 - 1.0)]),
    ("orpo", {}, [0.2 - 0.1 * log_sigmoid(log_odds(M_W) - log_odds(M_L))]),
    ("dpop", {}, [DPO]),  # d_w > 0: no penalty
    ("apo_zero", {}, [1 - sigmoid(0.02) + sigmoid(-0.06)]),
    ("topr", {}, [0.2, -0.8 * math.exp(M_L + 0.5)]),
    ("gate_dpo", {}, [DPO]),
    ("awr", {}, [0.2 * math.e, 0.8 * math.exp(-1)]),
    ("awr", {"beta": 0.1}, [0.2 * 20, 0.8 * math.exp(-10)]),  # exp(10) clipped at 20
    # c = r p̄ under the reference, c' = r p̄ under the policy; squares: 0.01, (0.25 + 0.01) / 2
    (
        "omd",
        {},
        [
            0.2 * (2 * math.exp(-0.3) - math.exp(-0.2)) + 0.01 / 2,
            -0.8 * (2 * math.exp(-0.5) - math.exp(-0.8)) + 0.13 / 2,
        ],
    ),
    (
        "omd",
        {"optimistic": False, "eta": 2.0},
        [0.2 * math.exp(-0.3) + 0.01 / 4, -0.8 * math.exp(-0.5) + 0.13 / 4],
    ),
    # ratios e^0.1, e^0.1 (below 1.2) and e^-0.5, e^-0.1; for A = -1 the clip at 0.8 binds
    ("grpo", {}, [-math.exp(0.1), (0.8 + math.exp(-0.1)) / 2]),
    ("grpo", {"clip_high": 0.05}, [-1.05, (0.8 + math.exp(-0.1)) / 2]),
    (
        "grpo",
        {"aggregate": "constant", "constant_length": 10},
        [-math.exp(0.1) / 5, (0.8 + math.exp(-0.1)) / 10],
    ),
    # p = 1/4; log-ratios 0.1, 0.1 and -0.5, -0.1
    ("nft", {}, [-0.075, -0.375 * (math.log(NEGATIVE[0]) + math.log(NEGATIVE[1]))]),
    ("nft", {"floor": 1.1}, [-0.075, -0.375 * (math.log(NEGATIVE[0]) + math.log(1.1))]),
    # V* = log(mean of e² and three ones) / 2
    ("a_star_po", {}, [(2e-4 - 1 + VALUE) ** 2, (-6e-4 + VALUE) ** 2]),
    ("oapl", {}, [(0.2 - 1 + VALUE_AT_1) ** 2, (-0.6 + VALUE_AT_1) ** 2]),
    # W = e^0.2 and e^-0.6
    (
        "vespo",
        {},
        [
            0.2 * math.exp(0.2) ** 2 * math.exp(3 - 3 * math.exp(0.2)),
            -0.8 * math.exp(-0.6) ** 3 * math.exp(2 - 2 * math.exp(-0.6)),
        ],
    ),
    ("cispo", {}, [0.2 * math.exp(0.1), -(math.exp(-0.5) + 0.6 * math.exp(-0.1)) / 2]),
    ("cispo", {"clip_high": 0.7}, [0.2 * 0.7, -(math.exp(-0.5) + 0.6 * 0.7) / 2]),
    (
        "sapo",
        {},
        [
            -4 * sigmoid(math.exp(0.1) - 1),
            sum(sigmoid(1.05 * (math.exp(x) - 1)) for x in (-0.5, -0.1)) * 2 / 1.05,
        ],
    ),
    ("robust_dpo", {}, [(-0.9 * log_sigmoid(0.08) + 0.1 * log_sigmoid(-0.08)) / 0.8]),
    ("dpo_norm", {}, [-log_sigmoid(5 * 0.4)]),  # mean log-ratios 0.1 and -0.3
    ("wpo_dpo", {}, [DPO * math.exp(-0.2 + 0.2) * math.exp(-0.8 + 0.3)]),
    ("hinge", {}, [0.92]),
    ("hinge", {"beta": 2.0}, [0.0]),
    (
        "exo",
        {"label_smoothing": 0.1},
        [
            sigmoid(0.08) * math.log(sigmoid(0.08) / 0.9)
            + sigmoid(-0.08) * math.log(sigmoid(-0.08) / 0.1)
        ],
    ),
    ("nca", {}, [-log_sigmoid(0.02) - (log_sigmoid(-0.02) + log_sigmoid(0.06)) / 2]),
    ("bco", {}, [-log_sigmoid(0.02) - log_sigmoid(0.06)]),
    ("sppo_hard", {}, [4.8**2 + 4.4**2]),
    ("apo_down", {}, [sigmoid(0.02) + 1 - sigmoid(0.08)]),
    # mean divergences 0.2 and 0.4
    ("rise", {}, [-math.exp(M_W) + 0.02, math.exp(M_L) + 0.04]),
    ("rise", {"coefficient": 0.5}, [-math.exp(M_W) + 0.1, math.exp(M_L) + 0.2]),
    ("rise_grpo", {}, [-math.exp(0.1) + 0.02, (0.8 + math.exp(-0.1)) / 2 + 0.04]),
    (
        "rise_grpo",
        {"coefficient": 0.5, "aggregate": "constant", "constant_length": 10},
        [-math.exp(0.1) / 5 + 0.02, (0.8 + math.exp(-0.1)) / 10 + 0.04],
    ),
]


@pytest.mark.parametrize(("name", "hyper", "expected"), CASES)
def test_loss_is_what_the_formula_gives(name, hyper, expected):
    loss = getattr(objectives, name)(POLICY, BATCH, **hyper)
    assert loss.tolist() == pytest.approx(expected, rel=1e-12)


def test_every_base_objective_has_a_case():
    bases = {n for n in objectives.OBJECTIVES if not n.startswith("fpa")}
    assert bases == {name for name, _, _ in CASES}


def test_dpop_penalises_a_chosen_below_the_reference():
    """Sides swapped: d_w = -0.6, so -log σ(0.1 (-0.6 - 0.2 - 50 * 0.6))."""
    swapped = BATCH._replace(pairs=torch.tensor([[1, 0]]))
    loss = objectives.dpop(POLICY, swapped)
    assert loss.item() == pytest.approx(-log_sigmoid(0.1 * (-0.8 - 30)), rel=1e-12)


def test_grpo_token_aggregate_divides_by_the_mean_length_of_the_batch():
    """Lengths 1 and 2, mean 1.5."""
    mask = torch.tensor([[True, False], [True, True]])
    loss = objectives.grpo(POLICY, BATCH._replace(mask=mask), aggregate="token")
    expected = [-math.exp(0.1) / 1.5, (0.8 + math.exp(-0.1)) / 1.5]
    assert loss.tolist() == pytest.approx(expected, rel=1e-12)


def test_topr_does_not_differentiate_its_ratio():
    """Gradient per token: -1/2 for the correct row, +exp(m - m0)/2 for the incorrect."""
    _, gradient = loss_and_gradient(objectives.topr, POLICY, BATCH)
    assert gradient[0].tolist() == pytest.approx([-0.5, -0.5])
    assert gradient[1].tolist() == pytest.approx([math.exp(-0.3) / 2] * 2)


def test_gate_dpo_scales_the_rejected_gradient_alone():
    """-β σ(-β 0.8) for chosen tokens; its negative times σ(10 (p̄_l - 0.5)) for rejected ones."""
    _, gradient = loss_and_gradient(objectives.gate_dpo, POLICY, BATCH)
    slope = 0.1 * sigmoid(-0.08)
    assert gradient[0].tolist() == pytest.approx([-slope] * 2)
    gate = sigmoid(10 * (math.exp(M_L) - 0.5))
    assert gradient[1].tolist() == pytest.approx([slope * gate] * 2)


def test_omd_takes_no_gradient_through_its_credit():
    """-(2c - c')/2 + (log π - log π_t)/2 per token."""
    _, gradient = loss_and_gradient(objectives.omd, POLICY, BATCH)
    credit = 2 * math.exp(-0.3) - math.exp(-0.2)
    assert gradient[0].tolist() == pytest.approx([-credit / 2 + 0.05] * 2)


def test_dpo_gradient_is_the_published_one():
    """-β σ(-margin) per chosen token and its negative per rejected token."""
    _, gradient = loss_and_gradient(objectives.dpo, POLICY, BATCH)
    slope = 0.1 * sigmoid(-0.08)
    assert gradient.flatten().tolist() == pytest.approx([-slope, -slope, slope, slope])


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="granularity"):
        objectives.offline_rl(POLICY, BATCH, granularity="word")
    with pytest.raises(ValueError, match="aggregate"):
        objectives.grpo(POLICY, BATCH, aggregate="mean")
    with pytest.raises(ValueError, match="constant_length"):
        objectives.grpo(POLICY, BATCH, aggregate="constant")
