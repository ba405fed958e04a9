"""All that is asked of one forecast, in one record, and records as a long table."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd
from torch import Tensor

from diagnostics.extrapolation.forecast import (
    LAM_CEILING,
    best_lam,
    displacement_cosine,
    forecast_errors,
    forecast_log_probs,
    skill,
    weight_error,
)
from diagnostics.extrapolation.snapshot import Policy

LAMS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
COLUMNS = ("step", "quantity", "reference", "horizon", "lam", "value")
# Quantities of the long table.
ERROR, SKILL, WEIGHT_ERROR = "forecast_error", "forecast_skill", "weight_error"  # at each λ
BEST_LAM, BEST_ERROR, BEST_SKILL = "best_lam", "best_lam_error", "best_lam_skill"
DISPLACEMENT_COSINE = "displacement_cosine"
INITIAL, LAGGED = "initial", "lagged:"  # references: what a forecast extrapolates from


class ProbeTokens(NamedTuple):
    """The sampled tokens that the probe positions predict, for the error of FPA's weight."""

    targets: Tensor  # (N,) ids, in the order of the mask
    mask: Tensor  # (B, T) bool, N of it True


class Score(NamedTuple):
    """How well the forecast made at `step` met the policy `horizon` steps later."""

    step: int
    horizon: int
    reference: str  # `initial` or `lagged:N`: what the forecast extrapolates from
    lams: tuple[float, ...]  # L of them, 0 (no extrapolation) the first
    errors: tuple[float, ...]  # (L,) mean KL(π_later ‖ π̂(λ)), nats
    skills: tuple[float, ...]  # (L,) 1 - error / error at λ = 0
    weight_errors: tuple[float, ...] | None  # (L,) mean over trajectories; None without tokens
    best_lam: float  # λ*
    best_error: float
    best_skill: float
    cosine: float  # between the displacement so far and the one to come

    def rows(self) -> list[dict]:
        """Return a dict per number, with the keys of COLUMNS; lam is None where there is none."""
        values = [(ERROR, lam, x) for lam, x in zip(self.lams, self.errors, strict=True)]
        values += [(SKILL, m, x) for m, x in zip(self.lams, self.skills, strict=True)]
        if self.weight_errors is not None:
            each = zip(self.lams, self.weight_errors, strict=True)
            values += [(WEIGHT_ERROR, lam, x) for lam, x in each]
        values += [
            (BEST_LAM, None, self.best_lam),
            (BEST_ERROR, self.best_lam, self.best_error),
            (BEST_SKILL, self.best_lam, self.best_skill),
            (DISPLACEMENT_COSINE, None, self.cosine),
        ]
        return [
            dict(zip(COLUMNS, (self.step, name, self.reference, self.horizon, lam, x), strict=True))
            for name, lam, x in values
        ]


def score_forecast(
    origin: Policy,
    now: Policy,
    later: Policy,
    *,
    step: int,
    horizon: int,
    reference: str = INITIAL,
    lams: Sequence[float] = LAMS,
    tokens: ProbeTokens | None = None,
    chunk_size: int | None = None,
) -> Score:
    """Return every measure of the forecast made at `step` from `origin` and `now`.

    origin, now, later: as in `forecast`, (N, V) logits or Snapshots; step, horizon and
    reference only label the score. lams: λ to try beside 0 and λ*, which are always tried.
    tokens: the sampled tokens at the probes; without them there is no weight error.
    """
    policies, lams = (origin, now, later), (0.0, *[lam for lam in lams if lam])
    best = best_lam(*policies, ceiling=max(LAM_CEILING, *lams), chunk_size=chunk_size)
    errors = forecast_errors(*policies, (*lams, best), chunk_size=chunk_size)
    skills = skill(errors, errors[0]).tolist()
    weight_errors = None
    if tokens is not None:
        weight_errors = _weight_errors(*policies, lams, tokens, chunk_size)
    cosine = displacement_cosine(*policies, chunk_size=chunk_size).item()
    errors = errors.tolist()
    return Score(
        step, horizon, reference, lams,
        tuple(errors[:-1]), tuple(skills[:-1]), weight_errors,
        best, errors[-1], skills[-1], cosine,
    )  # fmt: skip


def reference_name(lag: int | None) -> str:
    """Return what a forecast is said to extrapolate from: `initial`, or `lagged:N`."""
    return INITIAL if lag is None else f"{LAGGED}{lag}"


def lag_of(reference: str) -> int | None:
    """Return N of `lagged:N`, None of `initial`."""
    return None if reference == INITIAL else int(reference.removeprefix(LAGGED))


def frame(scores: Iterable[Score]) -> pd.DataFrame:
    """Return scores as a long table, a row per number; `step` is that at which one forecast.

    `forecast_error`, `forecast_skill` and `weight_error` have a row for each λ, `best_lam` is λ*,
    `best_lam_error` and `best_lam_skill` are those at λ*, `displacement_cosine` has no λ.
    """
    rows = [row for score in scores for row in score.rows()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"lam": float, "value": float})


def _weight_errors(origin, now, later, lams, tokens, chunk_size) -> tuple[float, ...]:
    targets, mask = tokens
    if mask.dim() != 2 or int(mask.sum()) != len(targets):
        raise ValueError(
            f"tokens.mask must be (B, T) with {len(targets)} True, got {tuple(mask.shape)} with "
            f"{int(mask.sum())}"
        )

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    reached = spread(forecast_log_probs(later, later, targets, (0.0,), chunk_size=chunk_size)[0])
    ahead = forecast_log_probs(origin, now, targets, lams, chunk_size=chunk_size)
    rows = mask.any(-1)
    return tuple(weight_error(spread(x), reached, mask)[rows].mean().item() for x in ahead)
