"""The neighbours against an oracle of their own: plain floats, a row or a pair at a time.

Each gives the loss and, worked out on paper, its derivative by every token's log-prob.
"""

import math

import pytest
import torch

from objectives import OBJECTIVES
from tests.helpers.zoo import loss_and_gradient, random_batch


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log1p(math.exp(x))  # -log σ(-x)


class Row:
    """A trajectory: its tokens' log-probs p and those before, q; log Σπ²; reward; solve rate."""

    def __init__(self, p, q, collision, reward, rate):
        self.p, self.q, self.reward, self.rate = p, q, reward, rate
        self.likely = math.exp(sum(p) / len(p) - sum(collision) / len(p))
        self.n, self.m, self.d = len(p), sum(p) / len(p), sum(p) - sum(q)

    def even(self, loss, coefficient):
        """Return a loss and a derivative that is the same for every token."""
        return loss, [coefficient] * self.n


def reinforced(positive, negative):
    def oracle(row):
        weight = row.reward * (positive if row.reward > 0 else negative)
        return row.even(-weight * row.m, -weight / row.n)

    return oracle


def asymre(row):
    return row.even(-(row.reward + 0.1) * row.m, -(row.reward + 0.1) / row.n)


def dft(row):
    if row.reward <= 0:
        return row.even(0, 0)
    return -sum(math.exp(x) * x for x in row.p) / row.n, [-math.exp(x) / row.n for x in row.p]


def nft(row):
    rate, losses, slopes = row.rate, [], []
    for p, q in zip(row.p, row.q, strict=True):
        ratio = math.exp(p - q)
        implied = max(1.0, (1 - rate * ratio) / (1 - rate))
        right = row.reward > 0
        losses.append((1 - rate) * (q - p if right else -math.log(implied)))
        slopes.append(-(1 - rate) if right else rate * ratio / implied)
    return sum(losses) / row.n, [slope / row.n for slope in slopes]


def regressed(beta, value_beta):
    def oracle(row):
        value = value_beta * math.log(row.rate * math.exp(1 / value_beta) + 1 - row.rate)
        error = beta * row.d - ((row.reward > 0) - value)
        return row.even(error**2, 2 * beta * error)

    return oracle


def vespo(row):
    ratio = math.exp(row.d)
    k, decay = (2, 3) if row.reward >= 0 else (3, 2)
    weight = math.exp(decay) * ratio**k * math.exp(-decay * ratio)
    return row.even(-weight * row.reward * row.m, -weight * row.reward / row.n)


def cispo(row):
    ratios = [min(5.0, math.exp(p - q)) for p, q in zip(row.p, row.q, strict=True)]
    loss = -row.reward * sum(w * p for w, p in zip(ratios, row.p, strict=True)) / row.n
    return loss, [-row.reward * w / row.n for w in ratios]


def sapo(row):
    heat = 1.0 if row.reward > 0 else 1.05
    ratios = [math.exp(p - q) for p, q in zip(row.p, row.q, strict=True)]
    gates = [sigmoid(heat * (ratio - 1)) for ratio in ratios]
    slopes = [4 * g * (1 - g) * r for g, r in zip(gates, ratios, strict=True)]
    loss = -row.reward * sum(4 / heat * gate for gate in gates) / row.n
    return loss, [-row.reward * slope / row.n for slope in slopes]


def redi(chosen, rejected):
    return -chosen.m + 0.8 * rejected.m, -1 / chosen.n, 0.8 / rejected.n


def of_margin(loss, slope, beta=0.1):
    """Return the oracle of a loss of x = β (d_w - d_l), with its derivative by x."""

    def oracle(chosen, rejected):
        x = beta * (chosen.d - rejected.d)
        return loss(x), beta * slope(x), -beta * slope(x)

    return oracle


def dpo_norm(chosen, rejected):
    x = 5 * (chosen.d / chosen.n - rejected.d / rejected.n)
    return softplus(-x), -5 * sigmoid(-x) / chosen.n, 5 * sigmoid(-x) / rejected.n


def wpo_dpo(chosen, rejected):
    x, weight = 0.1 * (chosen.d - rejected.d), chosen.likely * rejected.likely
    return weight * softplus(-x), -0.1 * weight * sigmoid(-x), 0.1 * weight * sigmoid(-x)


def exo_loss(x):
    return sigmoid(x) * math.log(sigmoid(x) / 0.999) + sigmoid(-x) * math.log(sigmoid(-x) / 1e-3)


def exo_slope(x):
    return sigmoid(x) * sigmoid(-x) * (x - math.log(0.999 / 1e-3))


def nca(chosen, rejected):
    x, y = 0.1 * chosen.d, 0.1 * rejected.d
    loss = softplus(-x) + softplus(x) / 2 + softplus(y) / 2
    return loss, 0.1 * (sigmoid(x) / 2 - sigmoid(-x)), 0.1 * sigmoid(y) / 2


def bco(chosen, rejected):
    x, y = 0.1 * chosen.d, 0.1 * rejected.d
    return softplus(-x) + softplus(y), -0.1 * sigmoid(-x), 0.1 * sigmoid(y)


def sppo_hard(chosen, rejected):
    x, y = chosen.d - 5, rejected.d + 5
    return x**2 + y**2, 2 * x, 2 * y


def apo_down(chosen, rejected):
    x, z = 0.1 * chosen.d, 0.1 * (chosen.d - rejected.d)
    by_x, by_z = 0.1 * sigmoid(x) * sigmoid(-x), 0.1 * sigmoid(z) * sigmoid(-z)
    return sigmoid(x) + sigmoid(-z), by_x - by_z, by_z


ROWS = {
    "w_reinforce": reinforced(0.1, 1.0),
    "nsr": reinforced(0, 1),
    "psr": reinforced(1, 0),
    "asymre": asymre,
    "dft": dft,
    "nft": nft,
    "a_star_po": regressed(1e-3, 0.5),
    "oapl": regressed(1.0, 1.0),
    "vespo": vespo,
    "cispo": cispo,
    "sapo": sapo,
}
PAIRS = {
    "redi": redi,
    "robust_dpo": of_margin(
        lambda x: (0.9 * softplus(-x) - 0.1 * softplus(x)) / 0.8,
        lambda x: -(0.9 * sigmoid(-x) + 0.1 * sigmoid(x)) / 0.8,
    ),
    "hinge": of_margin(lambda x: max(0.0, 1 - x), lambda x: -1.0 * (x < 1)),
    "exo": of_margin(exo_loss, exo_slope),
    "dpo_norm": dpo_norm,
    "wpo_dpo": wpo_dpo,
    "nca": nca,
    "bco": bco,
    "sppo_hard": sppo_hard,
    "apo_down": apo_down,
}


@pytest.mark.parametrize("name", [*ROWS, *PAIRS])
def test_losses_and_gradients_are_the_oracle_s(name):
    policy, batch = random_batch(rows=8, seed=3)
    batch = batch._replace(anchor=batch.reference)
    losses, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch)
    columns = policy, batch.reference, batch.collision, batch.mask, batch.reward, batch.solve_rate
    rows = [
        Row(p[mask].tolist(), q[mask].tolist(), met[mask].tolist(), reward.item(), rate.item())
        for p, q, met, mask, reward, rate in zip(*columns, strict=True)
    ]
    expected = []
    if name in ROWS:
        found = [ROWS[name](row) for row in rows]
        expected = [loss for loss, _ in found]
        slopes = [slope for _, row in found for slope in row]
    else:
        slopes = []
        for chosen, rejected in zip(rows[::2], rows[1::2], strict=True):
            loss, *each = PAIRS[name](chosen, rejected)
            expected.append(loss)
            slopes += [each[0]] * chosen.n + [each[1]] * rejected.n
    assert losses.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert gradient[batch.mask].tolist() == pytest.approx(slopes, rel=1e-12, abs=1e-12)
    assert not gradient[~batch.mask].any()


def test_wpo_s_form_weighs_by_the_future_policy_and_its_collision():
    policy, batch = random_batch()
    _, gradient = loss_and_gradient(OBJECTIVES["fpa_wpo_dpo"], policy, batch)
    ahead = batch._replace(collision=batch.future_collision)
    _, expected = loss_and_gradient(OBJECTIVES["wpo_dpo"], batch.future, ahead)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=0)
    other = batch._replace(collision=batch.collision - 1)  # of the value alone
    assert torch.equal(loss_and_gradient(OBJECTIVES["fpa_wpo_dpo"], policy, other)[1], gradient)


def test_nft_holds_the_value_up_and_lets_the_gradient_through():
    """ρ above 1: the implicit ratio is below the floor of 1, whose derivative stays -pρ/(1-p)."""
    policy, batch = random_batch()
    batch = batch._replace(anchor=policy - 0.5, reward=-torch.ones_like(batch.reward))
    losses, gradient = loss_and_gradient(OBJECTIVES["nft"], policy, batch)
    assert losses.tolist() == [0.0] * len(losses)
    steep = 0.4 * math.exp(0.5) / batch.mask.sum(1)
    torch.testing.assert_close(gradient, steep[:, None].double() * batch.mask)


@pytest.mark.parametrize(("rate", "value"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_value_of_a_prompt_that_is_always_or_never_solved_is_its_reward(rate, value):
    policy, batch = random_batch(at_reference=True)
    batch = batch._replace(solve_rate=torch.full_like(batch.reward, rate))
    for name in ("a_star_po", "oapl"):
        losses, gradient = loss_and_gradient(OBJECTIVES[name], policy, batch, beta=1e-3)
        wanted = [((reward > 0) * 1.0 - value) ** 2 for reward in batch.reward.tolist()]
        assert losses.tolist() == pytest.approx(wanted, abs=1e-12)
        assert gradient.isfinite().all()
