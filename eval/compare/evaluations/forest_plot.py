"""The picture of evaluations: differences from the baseline, benchmark by benchmark."""

import math
from io import BytesIO

import seaborn as sns
from matplotlib.figure import Figure

from eval.compare.evaluations.comparing import SideBySide
from eval.compare.html_report import Picture
from eval.compare.words import p_value, share
from objectives.figures import literal

DPI = 130
STEP = 0.34  # inches of a line
CAPTION = (
    "95 % intervals over problems of the difference in {measure}, with p; filled where p, adjusted "
    "for the number of differences by Holm's method, is below .05."
)


def differences_picture(compared: SideBySide) -> Picture:
    """Return the figure of the differences, drawn: a block per benchmark, a line per model."""
    table = compared.table.dropna(subset=["difference"])
    models = [label for label in compared.labels if label != compared.baseline]
    colours = dict(zip(models, sns.color_palette("colorblind", len(models)), strict=True))
    names = list(dict.fromkeys(table["benchmark"]))
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        height = 1.3 + STEP * (len(table) + len(names)) + 0.25 * len(models)
        figure = Figure(figsize=(9, height), layout="constrained")
        axis, place, ticks = figure.subplots(), 0.0, []
        for name in names:
            own = table[table["benchmark"] == name].to_dict("records")
            ticks.append(place + (len(own) - 1) / 2)
            for row in own:
                colour, p = colours[row["model"]], row["p_adjusted"]
                p = row["p_value"] if math.isnan(p) else p
                ends = [row["difference_low"], row["difference_high"]]
                axis.plot(ends, [place] * 2, color=colour, lw=2.4, solid_capstyle="butt")
                axis.plot(
                    row["difference"], place, "o", color=colour, ms=7, mew=1.8,
                    mfc=colour if p < 0.05 else "white",
                )  # fmt: skip
                text = f"{'+' if row['difference'] > 0 else ''}{share(row['difference'])}"
                axis.annotate(
                    f"{text}   p = {p_value(p)}".replace("= <", "< "),
                    (1.02, place), xycoords=("axes fraction", "data"), va="center",
                    fontsize="small", annotation_clip=False,
                )  # fmt: skip
                place += 1
            place += 1
        axis.axvline(0, color="0.3", lw=1)
        axis.set_ylim(place - 1.4, -0.6)
        axis.set_yticks(ticks, names)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(f"{compared.measure} less that of {compared.baseline}")
        for label in models:
            axis.plot([], [], "o-", color=colours[label], lw=2.4, label=f" {label}")
        figure.legend(loc="outside upper left", ncols=1, frameon=False)
        literal(figure)
        content = BytesIO()
        figure.savefig(content, format="png", dpi=DPI)
    caption = CAPTION.format(measure=compared.measure)
    heading = f"Differences from {compared.baseline}"
    return Picture("differences", heading, caption, content.getvalue(), 9.0)
