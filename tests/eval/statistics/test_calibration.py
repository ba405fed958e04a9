"""p-values and intervals under simulated nulls: how often are they wrong?

Objectives that are equal in truth, whose runs scatter: each run has an ability of its own, drawn
for its seed, and answers problems of different difficulty by chance.
"""

import math

import numpy as np
import pytest

from eval.statistics import holm, paired_difference, score_interval

OBJECTIVES = 9  # the first is the baseline
SCATTERS = (0.0, 0.03, 0.064, 0.12)  # standard deviation of runs' accuracies


def simulated(rng, trials, seeds, scatter, problems=100, samples=1, centre=0.0, own=0.0,
              objectives=OBJECTIVES):  # fmt: skip
    """Return (trials, objectives, seeds, problems) scores of objectives that are equal in truth.

    own: how much an objective has problems of its own that it is good at, in logits.
    """
    difficulty = rng.normal(centre, 1.5, (trials, 1, 1, problems))
    slope = np.mean(1 / (2 + 2 * np.cosh(rng.normal(centre, 1.5, 10_000))))  # accuracy for a logit
    ability = rng.normal(0, scatter / slope, (trials, objectives, seeds, 1))
    talent = rng.normal(0, own, (trials, objectives, 1, problems)) if own else 0.0
    chance = 1 / (1 + np.exp(difficulty + ability + talent))
    return rng.binomial(samples, chance) / samples


def beyond(rate, trials):
    """Return the rate above which a share of so many trials shows that the true one is above."""
    return rate + 2.6 * math.sqrt(rate * (1 - rate) / trials)


def errors(tables):
    """Return of each trial whether Holm's method finds a difference, and the share without it."""
    p = np.array([[paired_difference(own, trial[0]).p_value for own in trial[1:]]
                  for trial in tables])  # fmt: skip
    return np.array([holm(row).min() < 0.05 for row in p]), float(np.mean(p < 0.05))


SETTINGS = [{}, {"own": 1.0}, {"centre": -2.5}, {"samples": 8, "problems": 30}]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("scatter", SCATTERS)
def test_the_chance_of_any_false_difference_is_five_per_cent(seeds, scatter):
    """Over all settings: right or wrong, talents, easy problems, means of eight samples."""
    rng = np.random.default_rng(seeds)
    found = [errors(simulated(rng, 200, seeds, scatter, **setting)) for setting in SETTINGS]
    family = np.concatenate([one for one, _ in found])
    assert family.mean() <= beyond(0.05, len(family))
    single = np.mean([share for _, share in found])
    assert 0.003 <= single <= 0.06  # one test's: neither claims too much nor never anything


def test_a_baseline_that_alone_scatters_misleads_nobody():
    """Its mean is in every difference, so errors come together; Holm's method allows for that."""
    rng = np.random.default_rng(7)
    for seeds in (2, 3, 5):
        table = simulated(rng, 400, seeds, 0.0)
        table[:, 0] = simulated(rng, 400, seeds, 0.12, objectives=1)[:, 0]
        found, _ = errors(table)
        assert found.mean() <= beyond(0.05, len(found))


def test_holm_over_several_benchmarks_counts_all_of_them():
    """Eight objectives on three sets of problems, by the same runs: 24 comparisons, one family."""
    rng = np.random.default_rng(3)
    sets = [simulated(rng, 200, 3, 0.03, problems=60) for _ in range(3)]
    any_false = []
    for tables in zip(*sets, strict=True):
        p = [paired_difference(own, t[0]).p_value for t in tables for own in t[1:]]
        any_false.append(holm(p).min() < 0.05)
    assert np.mean(any_false) <= beyond(0.05, 200)


def test_what_is_there_is_found():
    """A fifth ahead of runs that scatter by .03: three seeds find it nearly always, two seldom."""
    rng, shares = np.random.default_rng(0), {}
    for seeds in (2, 3):
        worse = simulated(rng, 100, seeds, 0.03, problems=300, objectives=1)[:, 0]
        better = simulated(rng, 100, seeds, 0.03, problems=300, centre=-1.2, objectives=1)[:, 0]
        p = [paired_difference(a, b).p_value for a, b in zip(better, worse, strict=True)]
        shares[seeds] = np.mean(np.array(p) < 0.05)
    assert shares[3] > 0.9
    assert shares[2] > 0.3


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("scatter", SCATTERS)
def test_intervals_hold_the_truth(seeds, scatter):
    """Problems' difficulties are symmetric about 0, so half is the truth at any scatter."""
    rng = np.random.default_rng(10 + seeds)
    tables = simulated(rng, 300, seeds, scatter, objectives=2)
    of_score = [low <= 0.5 <= high for _, low, high in (score_interval(t[0]) for t in tables)]
    between = [paired_difference(*table) for table in tables]
    of_difference = [found.low <= 0 <= found.high for found in between]
    for inside in (of_score, of_difference):
        assert 1 - np.mean(inside) <= beyond(0.05, 300)
    assert [found.p_value >= 0.05 for found in between] == of_difference


def test_one_seed_speaks_for_its_own_runs_alone():
    """Over problems its interval holds in 95 of 100; over seeds, where these scatter, in far fewer,
    which is why there is no p-value."""
    rng = np.random.default_rng(5)
    for scatter, least, most in ((0.0, 0.92, 0.98), (0.12, 0.1, 0.6)):
        tables = simulated(rng, 400, 1, scatter, objectives=2)
        found = [paired_difference(*table) for table in tables]
        assert all(math.isnan(one.p_value) for one in found)
        assert least <= np.mean([one.low <= 0 <= one.high for one in found]) <= most
