"""How well the future policy is forecast."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from diagnostics.extrapolation.forecast import best_lam, forecast_errors, skill
    from diagnostics.extrapolation.lam_rule import LamRule, LamState, lam_at, observe
    from diagnostics.extrapolation.ring import ProbeRing
    from diagnostics.extrapolation.score import ProbeTokens, frame
    from diagnostics.extrapolation.snapshot import Snapshot, take_snapshot

__all__ = [
    "LamRule",
    "LamState",
    "ProbeRing",
    "ProbeTokens",
    "Snapshot",
    "best_lam",
    "forecast_errors",
    "frame",
    "lam_at",
    "observe",
    "skill",
    "take_snapshot",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "LamRule": "diagnostics.extrapolation.lam_rule",
        "LamState": "diagnostics.extrapolation.lam_rule",
        "ProbeRing": "diagnostics.extrapolation.ring",
        "ProbeTokens": "diagnostics.extrapolation.score",
        "Snapshot": "diagnostics.extrapolation.snapshot",
        "best_lam": "diagnostics.extrapolation.forecast",
        "forecast_errors": "diagnostics.extrapolation.forecast",
        "frame": "diagnostics.extrapolation.score",
        "lam_at": "diagnostics.extrapolation.lam_rule",
        "observe": "diagnostics.extrapolation.lam_rule",
        "skill": "diagnostics.extrapolation.forecast",
        "take_snapshot": "diagnostics.extrapolation.snapshot",
    },
)
