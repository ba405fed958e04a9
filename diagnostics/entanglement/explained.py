"""What happened between reference and policy, in sentences."""

from diagnostics.entanglement.bounds import FPA, REDI, RPO
from diagnostics.log_probs import LOGPS, SIDES

NAMED = 8  # pairs that a sentence names
COUNTED = {"shared": "shared tokens", "distinct": "distinct tokens",
           "first": "the first token that differs"}  # fmt: skip


def explained_in_words(summary: dict) -> str:
    """Return sentences, each on a line of its own; summary: of an `Explanation`."""
    sides = summary["sides"]
    lines = [_moved(summary)]
    lines += [_where(side, sides[side]) for side in SIDES]
    lines.append(_unlikely(summary))
    lines += [_left(name, of, summary["pairs"]) for name, of in summary["objectives"].items()]
    lines.append(_held(summary["inside_window"], summary["pairs"]))
    if summary["log"] is not None:
        lines += _logged(summary["log"], sides)
    return "\n".join(f"- {line}" for line in lines)


def _moved(summary: dict) -> str:
    said = []
    for side in SIDES:
        of = summary["sides"][side]
        said.append(f"the {side} {_by(of['change'])}, down in {of['share_fell']:.0%} of pairs")
    return (
        f"From reference to policy, log-probs of a completion in nats, mean over "
        f"{summary['pairs']} pairs of {summary['prompts']} prompts with its 95 % interval: "
        f"{'; '.join(said)}. {_verdict(summary['sides'])}"
    )


def _verdict(sides: dict) -> str:
    chosen, rejected = (_direction(sides[side]["change"]) for side in SIDES)
    return {
        (1, -1): "Each side moved the right way.",
        (-1, -1): "Both sides fell.",
        (1, 1): "Both sides rose.",
        (-1, 1): "Each side moved the wrong way.",
    }.get((chosen, rejected), "At least one side did not move by more than chance.")


def _where(side: str, of: dict) -> str:
    parts = [
        f"{COUNTED[kind]} {_signed(part['value'])}{_interval(part)} "
        f"({of['tokens'][kind]:.1f} a completion)"
        for kind, part in of["change_of"].items()
        if part["value"] is not None
    ]
    return f"Of the {side}'s change: {', '.join(parts)}."


def _unlikely(summary: dict) -> str:
    said = [
        f"{of['unlikely_reference']:.0%} of the {side}'s tokens under the reference, "
        f"{of['unlikely_policy']:.0%} under the policy"
        for side, of in summary["sides"].items()
    ]
    return (
        f"Below the {summary['quantile']:.0%} quantile of the reference's token probabilities, "
        f"mean over completions: {'; '.join(said)}."
    )


def _left(name: str, of: dict, pairs: int) -> str:
    said = (
        f"{name}: {of['ideal_reference']} of {pairs} pairs are ideal at the reference, "
        f"{of['ideal_policy']} at the policy"
    )
    if not of["left"]:
        return f"{said}; none left."
    more = len(of["left"]) - NAMED
    names = ", ".join(map(str, of["left"][:NAMED])) + (f" and {more} more" if more > 0 else "")
    where = ", ".join(f"{count} to {regime}" for regime, count in of["left_to"].items())
    return f"{said}; {len(of['left'])} left ({where}): pairs {names}."


def _held(inside: dict, pairs: int) -> str:
    said = [
        f"redi's α (weight of the rejected), {_best(inside[REDI], pairs)}",
        f"rpo's α (weight of the chosen's likelihood), {_best(inside[RPO], pairs)}",
    ]
    shares = inside[FPA]
    best = max(shares, key=lambda lam: shares[lam])
    said.append(
        f"fpa's λ, {shares[best]:.0%} of pairs at {best}, the best of "
        f"{', '.join(shares)} ({shares['0']:.0%} at 0, which is offline_rl)"
    )
    return (
        "What would put c_l/c_w into the window, as the gradients are at this policy: "
        f"{'; '.join(said)}."
    )


def _best(of: dict, pairs: int) -> str:
    if of["any"] == pairs:
        return "any value above 0 in all pairs"
    return f"{of['share_at_best']:.0%} of pairs at {of['best']:.3g} ({of['share_at_1']:.0%} at 1)"


def _logged(log: dict, sides: dict) -> list[str]:
    lines = []
    if log["not_finite"]:
        lines.append(f"The log has {log['not_finite']} entries that are no finite numbers.")
    for side in SIDES:
        of = log["courses"].get(f"{LOGPS}/{side}")
        if of is None:
            lines.append(f"The log has too few entries of {LOGPS}/{side} to tell its course.")
            continue
        measured = sides[side]["change"]["value"]
        lines.append(
            f"In the log, {side} {_course(of)}; between reference and policy the pairs here "
            f"moved by {_signed(measured)}."
        )
    return lines


def _course(of: dict) -> str:
    first, turn, last = (f"{of[name]:.3g}".replace("-", "−") for name in ("first", "turn", "last"))
    end = f"{last} at step {of['last_step']}"
    if of["fell"] and of["rose"]:
        return f"rose from {first} to {turn} and fell from step {of['turn_step']} on, to {end}"
    if of["fell"]:
        return f"fell from step {of['turn_step']} on, from {turn} to {end}"
    if of["rose"]:
        return f"rose from {first} to {end} and did not fall"
    return f"stayed within its noise, from {first} to {end}"


def _by(mean: dict) -> str:
    verb = {1: "rose by", -1: "fell by"}.get(_direction(mean), "moved by")
    value = mean["value"] if verb == "moved by" else abs(mean["value"])
    shown = _signed(value) if verb == "moved by" else f"{value:.2f}"
    return f"{verb} {shown}{_interval(mean)}"


def _interval(mean: dict) -> str:
    if mean["low"] is None:
        return ""
    return f" [{_signed(mean['low'])}, {_signed(mean['high'])}]"


def _direction(mean: dict) -> int:
    """Return 1 or -1 where the interval says which way, else 0."""
    if mean["low"] is None or mean["low"] <= 0 <= mean["high"]:
        return 0
    return 1 if mean["low"] > 0 else -1


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
