"""A picture of what happened between reference and policy."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from diagnostics.entanglement.bounds import FPA, REDI, RPO, share_within
from diagnostics.entanglement.explanation import Explanation
from diagnostics.log_probs import LOGPS, SIDES
from diagnostics.panels import COLOURS, MARKERS, panel_grid, style

PLAIN = FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
LABELS = {"whole": "whole completion", "shared": "shared tokens", "distinct": "distinct tokens",
          "first": "first that differs"}  # fmt: skip


def draw_moved(of: Explanation, title: str) -> Figure:
    """Return a figure: what moved, which hyper-parameters hold pairs, and the log if there is one.

    of: of `explain`. title: above the panels.
    """
    with style():
        count = 2 + (of.log is not None)
        figure, axes = panel_grid(count, across=3, height=4.0)
        _moved(axes[0], of.summary["sides"])
        _held(axes[1], of)
        if of.log is not None:
            _log(axes[2], of)
        figure.suptitle(title, fontsize="medium")
    return figure


def _moved(axis: Axes, sides: dict) -> None:
    axis.axvline(0, color="0.3", lw=1)
    for number, side in enumerate(SIDES):
        means = {"whole": sides[side]["change"], **sides[side]["change_of"]}
        for place, name in enumerate(LABELS):
            mean = means[name]
            if mean["value"] is None:
                continue
            at = place + (number - 0.5) * 0.25
            if mean["low"] is not None:
                axis.plot([mean["low"], mean["high"]], [at, at], color=COLOURS[number], lw=2)
            axis.plot(
                mean["value"], at, MARKERS[number], color=COLOURS[number], ms=7,
                label=side if place == 0 else None,
            )  # fmt: skip
    axis.set_yticks(range(len(LABELS)), list(LABELS.values()))
    axis.set_ylim(len(LABELS) - 0.5, -0.5)
    axis.set_xscale("symlog", linthresh=1)  # one side often moves many times as far
    axis.xaxis.set_major_formatter(PLAIN)
    axis.set_xlabel("change of log-prob, nats a completion")
    axis.set_title("what moved (95 % intervals)", fontsize="medium")
    axis.legend(fontsize="small")


def _held(axis: Axes, of: Explanation) -> None:
    values = np.geomspace(0.01, 100, 81)
    for number, (name, label) in enumerate(((REDI, "redi's α"), (RPO, "rpo's α"))):
        shares = [share_within(of.table, name, float(value)) for value in values]
        axis.plot(
            values, shares, color=COLOURS[number], label=label, marker=MARKERS[number],
            markevery=10, ms=6,
        )  # fmt: skip
    lams = {float(lam): share for lam, share in of.summary["inside_window"][FPA].items()}
    known = {lam: share for lam, share in lams.items() if lam > 0}
    axis.plot(
        list(known), list(known.values()), color=COLOURS[2], marker=MARKERS[2], ms=6,
        label="fpa's λ",
    )  # fmt: skip
    axis.set(xscale="log", ylim=(-0.03, 1.03), xlabel="α or λ", ylabel="share of pairs")
    axis.set_title("inside the window at this policy", fontsize="medium")
    axis.legend(fontsize="small")


def _log(axis: Axes, of: Explanation) -> None:
    assert of.log is not None
    courses = of.log.courses()
    for number, side in enumerate(SIDES):
        name = f"{LOGPS}/{side}"
        if name not in of.log.series:
            continue
        steps, values = of.log.series[name]
        axis.plot(
            steps, values, color=COLOURS[number], label=side, marker=MARKERS[number], ms=5,
            markevery=max(1, len(steps) // 10),
        )  # fmt: skip
        if name in courses and courses[name].fell:
            axis.axvline(courses[name].turn_step, color=COLOURS[number], ls=":", lw=1.6)
    axis.set_yscale("symlog", linthresh=1)
    axis.yaxis.set_major_formatter(PLAIN)
    axis.set(xlabel="step", ylabel="log-prob of a completion, nats")
    axis.set_title("the log (dotted: falls from here on)", fontsize="medium")
    axis.legend(fontsize="small")
