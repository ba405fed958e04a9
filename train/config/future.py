"""How far a run's future policy looks ahead, and from where: λ or a horizon, and the origin."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from diagnostics.extrapolation.lam_rule import LamRule, LamState, check_rule, lam_at
from objectives.errors import InputError

AUTO, WINDOW = "auto", "window"
WINDOW_CEILING = 6.0  # the greatest λ of --lam window, where none is stated
INITIAL = "initial"
PLAIN = (INITIAL, "ratio", "shuffled", "constant")  # extrapolated from the reference
COUNTED = ("lagged", "oracle", "lookahead")  # with a number of steps
AHEAD = ("oracle", "lookahead")  # by real steps, for which λ counts nothing
KNOWN_FIRST = (*AHEAD, "shuffled", "constant")  # found of a batch before its gradients
HORIZON = 20  # steps ahead, where --lam auto states none
_RULE = LamRule._field_defaults
RULE_FLAGS = {"lam_horizon": "horizon", "lam_floor": "floor", "lam_ceiling": "ceiling",
              "lam_smoothing": "smoothing"}  # fmt: skip


def read_lam(text: str) -> float | str:
    """Return a number, 0 or more, `auto` or `window`. Raises ValueError for other text."""
    if text in (AUTO, WINDOW):
        return text
    try:
        lam = float(text)
    except ValueError:
        lam = -1.0
    if not 0 <= lam < float("inf"):
        raise ValueError("expected a number, 0 or more, or auto, or window")
    return lam


def read_origin(text: str) -> str:
    """Return where the future is from, as it is. Raises ValueError for other text."""
    kind, colon, steps = text.partition(":")
    counted = steps.isdecimal() and int(steps) >= 1
    if not (text in PLAIN or (kind in COUNTED and colon and counted)):
        raise ValueError(
            f"expected {', '.join(PLAIN)}, or {', '.join(COUNTED)} and :N with N steps, 1 or more"
        )
    return text


class FutureFlag(NamedTuple):
    """How a flag's text is read, and its help."""

    read: Callable[[str], Any]
    metavar: str
    default: Any
    help: str


# Flags of every objective that looks ahead.
FUTURE_FLAGS: Mapping[str, FutureFlag] = {
    "lam": FutureFlag(
        read_lam, "NUMBER|auto|window", 1.0,
        "how far ahead the future policy is, or auto: so as to predict the policy --lam-horizon "
        "steps ahead, as scored forecasts on fixed probes tell; or window: the least that keeps "
        "the chosen side of nine in ten probe pairs from falling",
    ),
    "future_from": FutureFlag(
        read_origin, "ORIGIN", INITIAL,
        "initial: extrapolate from the reference; lagged:N: from the policy exactly N steps ago, "
        "at N + 1 copies of what is trained in memory; oracle:K: the policy after K real steps of "
        "the base objective on the batches that come, taken back then; lookahead:K: after K on the "
        "batch itself; controls: ratio (the extrapolation, not normalised), shuffled (another "
        "row's ratio), constant (each side's mean weight)",
    ),
    "lam_horizon": FutureFlag(int, "STEPS", HORIZON, "steps that --lam auto looks ahead"),
    "lam_floor": FutureFlag(
        float, "NUMBER", _RULE["floor"], "the least λ of --lam auto and window"
    ),
    "lam_ceiling": FutureFlag(
        float, "NUMBER", _RULE["ceiling"],
        f"the greatest λ of --lam auto; of window {WINDOW_CEILING:g} unless given",
    ),
    "lam_smoothing": FutureFlag(
        float, "NUMBER", _RULE["smoothing"],
        "share of the former pace of forecasts that --lam auto keeps, in [0, 1), or of the former "
        "λ that window does",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class FutureSettings:
    """Where the future policy is extrapolated from, and by which λ."""

    lam: float | str  # a number, or `auto` or `window`: by the rule
    future_from: str  # as `read_origin` has it
    rule: LamRule | None  # where λ is no number

    @property
    def lag(self) -> int | None:
        """N of `lagged:N`; None for what is not extrapolated from an earlier policy."""
        return self._steps if self.kind == "lagged" else None

    @property
    def kind(self) -> str:
        """What `future_from` says, without the number of steps."""
        return self.future_from.partition(":")[0]

    @property
    def steps_ahead(self) -> int | None:
        """K of `oracle:K` and `lookahead:K`; None where the future is extrapolated."""
        return self._steps if self.kind in AHEAD else None

    @property
    def known_first(self) -> bool:
        """Whether it is found of a whole batch before the batch's gradients."""
        return self.kind in KNOWN_FIRST

    @property
    def _steps(self) -> int:
        return int(self.future_from.partition(":")[2])

    @property
    def first_lam(self) -> float | None:
        """λ before the first step, at which every λ is the same policy; None of real steps."""
        if self.steps_ahead is not None:
            return None
        if self.rule is None:
            return float(self.lam)
        return self.rule.floor if self.lam == WINDOW else lam_at(LamState(), self.rule, 0)

    def memory(self, size: int) -> str:
        """Return in words what a lag takes, size bytes a copy of what is trained."""
        copies = (self.lag or 0) + 1
        return f"{copies} copies of what is trained in memory: {copies * size / 1e6:.1f} MB"

    def values(self) -> dict:
        """Return the settings under their flags' names."""
        values = {"lam": self.lam, "future_from": self.future_from}
        if self.rule is not None:
            rule = {name: getattr(self.rule, field) for name, field in RULE_FLAGS.items()}
            if self.lam == WINDOW:
                del rule["lam_horizon"]
            values |= rule
        return values


def check_whole(objective: str, settings: FutureSettings) -> None:
    """Raise InputError where an objective's divergence is not from a whole future policy."""
    if settings.kind not in (INITIAL, "lagged"):
        raise InputError(
            f"--future-from {settings.future_from}: known by its tokens alone, and {objective} "
            f"reads a divergence over the whole vocabulary: {INITIAL} or lagged:N"
        )
    if settings.lam == WINDOW:
        raise InputError(
            f"--lam window: chosen for weights at the future policy, and {objective} is drawn "
            f"towards it: give a number"
        )


def future_settings(given: Mapping, default_lam: float) -> FutureSettings:
    """Return the settings from the flags that were given.

    given: by the names of FUTURE_FLAGS. Raises InputError for a rule that cannot be followed, and
    for the rule's flags beside a λ that is a number, which would do nothing.
    """
    lam, origin = given.get("lam", default_lam), given.get("future_from", INITIAL)
    settings = FutureSettings(lam, origin, None)
    if settings.steps_ahead is not None and "lam" in given and lam != default_lam:
        raise InputError(f"--lam {lam}: not with --future-from {origin}, which takes real steps")
    if lam in (AUTO, WINDOW) and settings.known_first:
        raise InputError(f"--lam {lam}: not with --future-from {origin}: give a number")
    if lam == WINDOW and origin != INITIAL:
        raise InputError(f"--lam window: not with --future-from {origin}, from the reference alone")
    rule_flags = {field: given[name] for name, field in RULE_FLAGS.items() if name in given}
    if lam == WINDOW:
        if "lam_horizon" in given:
            raise InputError("--lam-horizon is for --lam auto, and lam is window")
        rule_flags = {"ceiling": WINDOW_CEILING, **rule_flags}
    elif lam != AUTO:
        if rule_flags:
            name = next(name for name in RULE_FLAGS if name in given)
            raise InputError(f"--{name.replace('_', '-')} is for --lam auto, but lam is {lam:g}")
        return settings
    rule = LamRule(**{"horizon": HORIZON, **rule_flags}, lag=settings.lag)
    try:
        check_rule(rule)
    except ValueError as error:
        raise InputError(f"--lam {lam}: {error}") from None
    return replace(settings, rule=rule)
