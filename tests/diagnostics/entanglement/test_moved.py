"""What moved between reference and policy, and which hyper-parameters hold pairs: by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from diagnostics.entanglement.bounds import (
    best_value,
    lam_column,
    redi_bounds,
    rpo_bounds,
    share_within,
)
from diagnostics.entanglement.coefficients import pair_coefficients
from diagnostics.entanglement.moved import mean_over_pairs, moved_table
from diagnostics.entanglement.overlap import token_overlap
from diagnostics.entanglement.pair_products import REGIMES, Products, regime
from diagnostics.trajectories import completion_log_probs, pack
from objectives import Batch, rpo
from tests.helpers.tiny import TOKENS, model, twin_log_probs

POLICY, REFERENCE = "llama tied", "llama untied"


def test_changes_are_those_of_a_plain_forward_token_by_token():
    rows = pack(TOKENS)
    overlaps = [token_overlap(a[1], b[1]) for a, b in zip(TOKENS[::2], TOKENS[1::2], strict=True)]
    with torch.no_grad():
        both = [completion_log_probs(model(name), rows) for name in (POLICY, REFERENCE)]
        table = moved_table(*both, rows.mask, overlaps)
        plain = [[twin_log_probs(model(name), *row).tolist() for row in TOKENS]
                 for name in (POLICY, REFERENCE)]  # fmt: skip
    for offset, side in enumerate(("chosen", "rejected")):
        every = sorted(x for row in plain[1][offset::2] for x in row)
        least = np.quantile(every, 0.1)
        for number in range(3):
            now, then = (of[2 * number + offset] for of in plain)
            ids = [TOKENS[2 * number][1], TOKENS[2 * number + 1][1]]
            first = next((i for i, (a, b) in enumerate(zip(*ids, strict=False)) if a != b))
            line = table.iloc[number]
            close = pytest.approx
            assert line[f"change_{side}"] == close(sum(now) - sum(then), rel=1e-6)
            assert line[f"change_{side}_first"] == close(now[first] - then[first], rel=1e-6)
            parts = line[f"change_{side}_shared"] + line[f"change_{side}_distinct"]
            assert parts == close(line[f"change_{side}"], rel=1e-6)
            assert line[f"unlikely_{side}"] == close(sum(x < least for x in now) / len(now))
            assert line[f"unlikely_reference_{side}"] == close(
                sum(x < least for x in then) / len(then)
            )
    # 7 8 9 10 1 and 7 8 11 1 share 7 8 1.
    assert (table["tokens_chosen_shared"][0], table["tokens_rejected_distinct"][0]) == (3, 1)
    plain_shared = sum(plain[0][0][i] - plain[1][0][i] for i in (0, 1, 4))
    assert table["change_chosen_shared"][0] == pytest.approx(plain_shared, rel=1e-6)


def test_a_side_that_ends_before_the_two_differ_has_no_first_token():
    values, mask = torch.zeros(2, 3), torch.tensor([[True, True, False], [True, True, True]])
    table = moved_table(values, values, mask, [token_overlap([1, 2], [1, 2, 3])])
    assert math.isnan(table["change_chosen_first"][0])
    assert table["change_rejected_first"][0] == 0
    with pytest.raises(ValueError, match="two rows for each of 1 pairs"):
        moved_table(values[:1], values[:1], mask[:1], [token_overlap([1], [2])])


def test_intervals_are_student_s_and_count_prompts_once():
    values = pd.Series([1.0, 2.0, 4.0, 9.0])
    mean = mean_over_pairs(values, list("abcd"))
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert (mean.low, mean.high) == pytest.approx(expected)
    # Each pair twice tells no more than once.
    twice = mean_over_pairs(pd.concat([values, values]), list("abcdabcd"))
    assert (twice.low, twice.high) == pytest.approx(expected)
    assert math.isnan(mean_over_pairs(values, ["a"] * 4).low)
    assert mean_over_pairs(pd.Series([math.nan, 3.0]), ["a", "b"]).pairs == 1


@pytest.fixture
def entangled():
    """Return products of pairs, inside and outside at equal weights, and their table."""
    of = Products(
        torch.tensor([1.0, 3.0, 3.0, -1.0], dtype=torch.float64),
        torch.tensor([2.0, 2.0, 8.0, 1.0], dtype=torch.float64),
        torch.tensor([4.0, 8.0, 2.0, 1.0], dtype=torch.float64),
    )
    low, high = of.window
    columns = {"window_low": low, "window_high": high}
    table = pd.DataFrame({name: value.numpy() for name, value in columns.items()})
    return of, table.assign(n_chosen=[2, 3, 3, 2], n_rejected=[3, 2, 3, 2])


def ideal(of, chosen, rejected):
    return (regime(of, chosen, rejected) == REGIMES.index("ideal")).numpy()


@pytest.mark.parametrize("alpha", [0.01, 0.3, 0.8, 1.0, 3.0, 40.0])
def test_redi_s_bounds_are_where_its_step_is_ideal(entangled, alpha):
    of, table = entangled
    bounds = redi_bounds(table)
    held = (bounds["redi_alpha_low"] < alpha) & (alpha < bounds["redi_alpha_high"])
    n_w, n_l = (torch.tensor(table[name].to_numpy()) for name in ("n_chosen", "n_rejected"))
    assert held.tolist() == ideal(of, 1 / n_w, alpha / n_l).tolist()


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.05, 0.1, 0.3, 1.0, 3.0])
def test_rpo_s_bounds_are_where_autograd_says_its_step_is_ideal(entangled, alpha):
    of, table = entangled
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor(table[["n_chosen", "n_rejected"]].to_numpy()).flatten()
    mask = torch.arange(3) < lengths[:, None]
    policy, reference = (
        torch.where(mask, -torch.rand(8, 3, generator=generator, dtype=torch.float64), 0.0)
        for _ in range(2)
    )
    batch = Batch(mask=mask, reference=reference, pairs=torch.arange(8).view(4, 2))
    ratio = (policy - reference).sum(-1)
    preference = 0.2 * torch.sigmoid(-0.2 * (ratio[::2] - ratio[1::2])).numpy()
    bounds = rpo_bounds(table, preference)
    held = (bounds["rpo_alpha_low"] < alpha) & (alpha < bounds["rpo_alpha_high"])
    used = pair_coefficients(rpo, policy, batch, beta=0.2, alpha=alpha)
    assert held.tolist() == ideal(of, *used).tolist()
    assert math.isnan(bounds["rpo_alpha_low"][2])  # ip > ‖g_l‖²: no ratio up to 1 will do


def test_the_best_value_lies_in_most_intervals():
    bounds = pd.DataFrame({"a_low": [0.0, 1.0, 2.0, np.nan], "a_high": [3.0, 4.0, np.inf, np.nan]})
    assert best_value(bounds, "a") == (2.5, 0.75)
    assert share_within(bounds, "a", 5.0) == 0.25
    assert best_value(bounds[3:], "a") == (0.0, 0.0)
    free = pd.DataFrame({"a_low": [0.0], "a_high": [np.inf]})
    assert best_value(free, "a")[1] == 1


def test_the_smallest_lambda_that_holds_a_pair(entangled):
    _, table = entangled
    ratios = {0.0: np.array([9.0, 9, 2, 1]), 1.0: np.array([1.0, 9, 2, 1]),
              2.0: np.array([1.0, 0.5, 2, 1])}  # fmt: skip
    lams = lam_column(table, ratios)["fpa_lam"]
    assert lams[[0, 1, 3]].tolist() == [1, 2, 0]
    assert lams[2] == 0  # 1.5 < 2 < 8 / 3
