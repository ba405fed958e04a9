"""What forecasts say: tables, pictures and words, written and printed."""

from pathlib import Path

import pandas as pd

from diagnostics.extrapolation.plot import draw_forecasts
from diagnostics.extrapolation.words import summarise, words
from diagnostics.panels import save
from objectives.whole_files import write_whole


def write_report(table: pd.DataFrame, lam: float, out: Path) -> None:
    """Write the forecasts, and their summaries and pictures, and print what these say."""
    write_whole(out / "forecasts.csv", table.to_csv(index=False))
    summaries = []
    for reference in sorted(table["reference"].unique()):
        summary = summarise(table, reference=reference, lam=lam)
        summaries.append(summary.assign(reference=reference))
        name = out / f"forecasts-{reference.replace(':', '-')}.png"
        figure = draw_forecasts(table, reference=reference, lam=lam)
        save(figure, name, dpi=130)
        print(f"\nforecasts from {reference}, medians; skill_fixed is at λ = {lam:g}")
        print(summary.to_string(index=False, float_format="{:.2f}".format))
        print(*words(summary, reference=reference, lam=lam), name, sep="\n")
    write_whole(out / "summary.csv", pd.concat(summaries).to_csv(index=False))
