"""Setting λ while one trains: from a horizon in steps, and how past forecasts turned out.

λ has no time scale of its own. A policy whose logits leave the origin (the initial reference, or
the policy D steps before) along a line, by as much every step, has `λ*(t, k) = k / age`, with age
the steps from origin to t. So a fixed λ looks λ·age steps ahead, ever further as age grows, and
the λ that looks H steps ahead falls as H / t from the initial reference and stays H / D from a
lagged one. What departs from that is measured as the *pace*, `λ*(s, k) · age(s) / k`: how fast the
policy went on, over k steps, beside its mean speed since the origin (1 on a line; p where it moves
as age^p, for k much smaller than age). The rule smooths the pace, not λ, and sets
`λ = pace · H / age(t)`.

At step t only forecasts with s + k <= t have been scored, so the newest λ* of horizon H is that of
s = t - H, and from the initial reference it is out of date by a factor age(t) / age(s). The pace
has no such lag, and can be had from any horizon, so shorter ones serve before step H has passed.

*Assumed*: this rule is this project's own; the future-policy paper fixes λ.
"""

import math
from typing import NamedTuple

LAM_CEILING = 10.0  # of the best λ: the paper's largest, already too much


class LamRule(NamedTuple):
    """How λ follows the forecasts."""

    horizon: int  # H: steps that the future policy shall look ahead
    lag: int | None = None  # D: steps from origin to policy; None: from the initial reference
    floor: float = 0.5  # λ is never below: there FPA acts as a brake even where nothing forecasts
    ceiling: float = 2.0  # nor above; from .5 to 2 is what the paper found to work
    smoothing: float = 0.8  # share of the former pace that stays at each new measurement


class LamState(NamedTuple):
    """What is remembered from measurement to measurement."""

    pace: float = 1.0  # smoothed; until the first measurement as on a line


def check_rule(rule: LamRule) -> None:
    """Raise ValueError for a rule that cannot be followed, naming the number that is wrong."""
    if rule.horizon < 1 or (rule.lag is not None and rule.lag < 1):
        raise ValueError(f"horizon and lag must be 1 or more, got {rule.horizon} and {rule.lag}")
    if not 0 <= rule.floor <= rule.ceiling < math.inf:
        raise ValueError(f"0 <= floor <= ceiling must hold, got {rule.floor} and {rule.ceiling}")
    if not 0 <= rule.smoothing < 1:
        raise ValueError(f"smoothing must be in [0, 1), got {rule.smoothing}")


def age(rule: LamRule, step: int) -> int:
    """Return the steps from the origin to the policy at `step`."""
    return step if rule.lag is None else min(step, rule.lag)


def observe(state: LamState, rule: LamRule, step: int, horizon: int, best_lam: float) -> LamState:
    """Return the state after one more scored forecast from the rule's own kind of origin.

    step, horizon: the forecast's, made at `step` and scored at `step + horizon`, which must not
    lie ahead of training. best_lam: its λ*; nan, where there was nothing to forecast, and a λ* at
    the search's ceiling, where the origin was next to the policy, leave the state as it is.
    """
    if math.isnan(best_lam) or best_lam >= LAM_CEILING:
        return state
    pace = best_lam * age(rule, step) / horizon
    return LamState(rule.smoothing * state.pace + (1 - rule.smoothing) * pace)


def lam_at(state: LamState, rule: LamRule, step: int) -> float:
    """Return the λ to train with at `step`, between the rule's floor and ceiling.

    At step 0 policy and origin are the same and every λ forecasts alike: the ceiling.
    """
    since = age(rule, step)
    wanted = state.pace * rule.horizon / since if since else math.inf
    return min(max(wanted, rule.floor), rule.ceiling)
