"""All about one objective on a page: formula, weights, window, source, neighbours."""

import math
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

from objectives.coefficients import (
    FALLS,
    LENGTH,
    MARGINS,
    REFERENCE,
    Coefficients,
    columns,
    formula,
    on_falls,
    on_margins,
    window,
)
from objectives.entry import Objective
from objectives.figures import literal
from objectives.guard import GuardedLoss
from objectives.registry import OBJECTIVES
from objectives.text_table import aligned
from objectives.transform import Transform, prefixed
from objectives.whole_files import write_whole
from objectives.zoo_table import WIDTH, block

STRIP = 40  # columns of the plot in text
BLUE, VERMILLION = "#0072B2", "#D55E00"


def page(name: str, *, cosine: float, norm_ratio: float, lam: float = 1.0) -> str:
    """Return the page of one objective of OBJECTIVES, with a plot in text.

    cosine, norm_ratio: of the window, as `window` has them. lam: λ of the future policy.
    """
    entry = OBJECTIVES[name]
    parts = [block(name, entry), _about(name, entry)]
    now, ahead = on_margins(entry.loss), on_margins(entry.loss, lam)
    used = "at π̂" if entry.base else "at π"
    setting = (
        f"Its gradient is -(c_w ∇s_w - c_l ∇s_l), s being sums of log-probs. Below, c_w and c_l by "
        f"its defaults on a pair of {LENGTH} tokens a side, the chosen at the reference "
        f"({REFERENCE:g} a token) and the rejected below it by the margin, a token; at the "
        f"policy π and where λ = {lam:g} looks, π̂ (but for its normaliser). It uses those {used}. "
        f"The plot has c_w as w and c_l as l at π, as W and L at π̂, from 0 to "
        f"{_largest(now, ahead):.3g}; * where they meet."
    )
    parts += [fill(setting, WIDTH), _table(now, ahead)]
    found = window(cosine, norm_ratio)
    high = "inf" if math.isinf(found.high) else f"{found.high:.3g}"
    text = (
        f"Window: for a cosine of {cosine:g} between ∇s_w and ∇s_l and ‖∇s_w‖ / ‖∇s_l‖ = "
        f"{norm_ratio:g}, a step raises the chosen and lowers the rejected where "
        f"{max(found.low, 0):.3g} < c_l/c_w < {high} (arXiv 2410.13828). "
    )
    for where, values in (("π", now), ("π̂", ahead)):
        regimes = [found.regime(each.ratio) for each in values]
        counts = ", ".join(f"{regimes.count(r)} {r}" for r in dict.fromkeys(regimes) if r != "-")
        text += f"At {where}, of the {len(regimes)} margins: {counts or 'no window applies'}. "
    return "\n\n".join([*parts, fill(text.strip(), WIDTH)])


def _about(name: str, entry: Objective) -> str:
    rows = [("formula", formula(entry.loss) or "see its docstring")]
    base: Any = entry.loss
    made = []
    while isinstance(base, Transform):
        base = base.base
        made.append(base.__name__)
    if made:
        rows.append(("made from", ", from ".join(made)))
    if entry.source:
        rows.append(("source", f"arXiv {entry.source}, https://arxiv.org/abs/{entry.source}"))
    own = [prefixed(GuardedLoss.prefix, name)]
    if entry.future is not None:
        own.insert(0, entry.future.__name__)
    rows.append(("forms", ", ".join(form for form in own if form in OBJECTIVES) or "none"))
    near = [
        other
        for other, about in OBJECTIVES.items()
        if about.loss.__module__ == base.__module__ and about.base is None and other != name
    ]
    rows.append(("neighbours", ", ".join(near) or "none"))
    margin = " " * 12
    lines = (fill(f"{f'{what}:':12}{text}", WIDTH, subsequent_indent=margin) for what, text in rows)
    return "\n".join(lines)


def _table(now: list[Coefficients], ahead: list[Coefficients]) -> str:
    largest = _largest(now, ahead)
    rows: list[tuple[str, ...]] = [
        ("margin", "c_w", "c_l", "c_l/c_w", "c_w at π̂", "c_l at π̂", "c_l/c_w at π̂")
    ]
    for margin, here, there in zip(MARGINS, now, ahead, strict=True):
        cells = (*here, here.ratio, *there, there.ratio)
        rows.append((f"{margin:.2f}", *(f"{value:.3g}" for value in cells)))
    lines = aligned(rows, numbers=True).splitlines()
    wide = max(map(len, lines))
    strips = ["", *(_strip(h, t, largest) for h, t in zip(now, ahead, strict=True))]
    pairs = zip(lines, strips, strict=True)
    return "\n".join(f"{line:{wide}}  {strip}".rstrip() for line, strip in pairs)


def _strip(here: Coefficients, there: Coefficients, largest: float) -> str:
    """Return a line of the plot in text: where each coefficient is from 0 to the largest."""
    cells = [" "] * STRIP
    for mark, value in zip("wlWL", (*here, *there), strict=True):
        at = round(max(value, 0) / largest * (STRIP - 1)) if largest > 0 else 0
        cells[at] = mark if cells[at] == " " else "*"
    return f"|{''.join(cells)}|"


def _largest(now: list[Coefficients], ahead: list[Coefficients]) -> float:
    return max(max(each) for each in (*now, *ahead))


def write_picture(name: str, target: Path, lam: float = 1.0) -> None:
    """Write a PNG of an objective's coefficients, now and at the future policy, in two panels.

    Left, the rejected falls; right, both do. Raises InputError where it cannot be written.
    """
    from matplotlib.figure import Figure

    loss = OBJECTIVES[name].loss
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axis, places, values, what in (
        (panels[0], MARGINS, on_margins, "fall of the rejected alone"),
        (panels[1], FALLS, on_falls, "fall of both, the rejected 1 further"),
    ):
        for at, dashes, where in ((None, "-", "at π"), (lam, "--", f"at π̂, λ = {lam:g}")):
            for side, colour, each in zip(
                ("c_w", "c_l"), (BLUE, VERMILLION), columns(values(loss, at)), strict=True
            ):
                axis.plot(places, each, dashes, color=colour, label=f"{side} {where}")
        axis.set_xlabel(f"{what} (nats a token)")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("weight of a side's gradient")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=4, frameon=False, title=name)
    literal(figure)
    write_whole(target, partial(figure.savefig, format="png", dpi=90))
