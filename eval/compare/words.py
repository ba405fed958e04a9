"""A comparison in words: its table for reading, and what the table can and cannot tell."""

import math
import re
from collections.abc import Sequence

import pandas as pd

from eval.compare.caveats import choice, uncertainty, unequal
from eval.compare.comparison import Comparison
from objectives.markdown import table_row
from objectives.text_table import aligned

LEADING_ZERO = re.compile(r"(?<!\d)0(?=\.)")
TRIMMED_FROM = 4  # seeds; of fewer the interquartile mean is the mean
SMALLEST_SHOWN = 0.0001  # of p-values
COSTS = ["tokens trained", "tokens generated", "FLOPs", "minutes", "memory"]


def display_table(comparison: Comparison) -> pd.DataFrame:
    """Return the table as text, a row per line, without columns in which no line has anything."""
    rows, many = [], comparison.table["seeds"].max() >= TRIMMED_FROM
    for row in comparison.table.to_dict("records"):
        shown = {
            "objective": row["objective"],
            "seeds": f"{row['seeds']}",
            "learning rate": f"{row['learning_rate']:g}",
            "rates": f"{row['rates']}" if comparison.sweep is not None else "",
            "best (step)": f"{row['best_step']}",
            "last (step)": f"{row['last_step']}",
        }
        for mode in ("greedy", "sampled"):
            for name in ("best", "last"):
                shown[f"{mode}, {name}"] = interval_text(row, f"{mode}_{name}")
        shown |= {
            "drop": share(row["drop"]),
            f"against {comparison.baseline}": "baseline"
            if row["objective"] == comparison.baseline
            else interval_text(row, "difference", signed=True),
            "p (Holm)": p_value(row["p_adjusted"]),
            "P(better)": share(row["p_better"]),
            "IQM, last": share(row["iqm_last"]) if many else "",
            "tokens trained": amount(row["tokens_trained"]),
            "tokens generated": amount(row["tokens_generated"]),
            "FLOPs": f"{row['flops']:.1e}".replace("e+", "e") if row["flops"] >= 0 else "",
            "minutes": f"{row['seconds'] / 60:.1f}" if row["seconds"] >= 0 else "",
            "memory": amount(row["peak_memory_bytes"], "B"),
        }
        rows.append(shown)
    table = pd.DataFrame(rows)
    return table.loc[:, (table != "").any()]


def display_sweep(comparison: Comparison) -> pd.DataFrame:
    """Return the sweep as text: accuracy, seeds, and a star at the chosen rate of each line.

    Raises ValueError where there is none.
    """
    sweep = comparison.sweep
    if sweep is None:
        raise ValueError("no objective has several learning rates")
    accuracies, counts = sweep.accuracy.to_dict("index"), sweep.seeds.to_dict("index")
    over_rates = sweep.over_rates.to_dict("index")
    rows = []
    for line in comparison.lines:
        row = {"objective": line.label}
        for rate, accuracy in accuracies[line.label].items():
            count = counts[line.label][rate]
            shown = "" if math.isnan(accuracy) else f"{share(accuracy)} ({count:.0f})"
            row[f"{rate:g}"] = shown + "*" * (rate == line.learning_rate)
        row["IQM, all runs"] = share(over_rates[line.label]["iqm"])
        row["P(better), all rates"] = share(over_rates[line.label]["p_better"])
        rows.append(row)
    return pd.DataFrame(rows)


def sweep_caption(comparison: Comparison) -> str:
    """Return sentences on the sweep."""
    return (
        f"{comparison.metric.capitalize()} accuracy after the last step on the even-numbered "
        f"problems, mean over the seeds that choose, whose number is in parentheses; a star marks "
        f"the rate that was chosen. Nothing is chosen in the last columns, which are of every run "
        f"on all problems: the interquartile mean of accuracies after the last step, and the "
        f"probability of improvement on {comparison.baseline}, at each rate that both have, mean "
        f"over rates."
    )


def on_screen(table: pd.DataFrame) -> str:
    """Return the table as aligned text, costs below the rest as all would be too wide."""
    costs = [name for name in COSTS if name in table]
    parts = [table.drop(columns=COSTS, errors="ignore")]
    if costs:
        parts.append(table.filter(["objective", *costs]))
    return "\n\n".join(aligned(_rows(part), numbers=True) for part in parts)


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown, its numbers to the right."""
    sides = ["---", *["---:"] * (table.shape[1] - 1)]
    rule = "| " + " | ".join(sides) + " |"
    return "\n".join([table_row(table.columns), rule, *map(table_row, table.to_numpy().tolist())])


def notes(comparison: Comparison, left_out: Sequence[str]) -> list[str]:
    """Return sentences on what was measured, how, and what cannot be concluded."""
    lines = comparison.lines
    runs = [run for line in lines for run in line.runs]
    config, row = runs[0].config, comparison.table.to_dict("records")[0]
    count, sampled = len(lines[0].problems), row["sampled_last"] >= 0
    data = " and ".join(sorted({run.config["data"] for run in runs}))
    said = [
        f"Every run began from the model {config['model']} and trained on the data {data}. "
        f"Accuracy is the share of {count} test problems solved"
        + (f", sampled: the mean of {config['eval_samples']} samples each" if sampled else "")
        + f". Before training it was {_start(row)}."
    ]
    said += choice(comparison)
    said += uncertainty(comparison)
    said += unequal(comparison)
    if len(comparison.table["flops"].dropna()):
        said.append(
            "FLOPs are an estimate, generation of what was trained on included: 6 for each "
            "parameter and token trained, 2 for each token generated or read by a frozen model. "
            "Tokens generated are, for offline objectives, those of the whole data set."
        )
    if len(comparison.table["seconds"].dropna()):
        said.append(
            "Minutes are of wall time, with evaluations; memory is the highest use, of the GPU or, "
            "without one, of the process."
        )
    return said + [f"Left out: {reason}." for reason in left_out]


def _start(row: dict) -> str:
    parts = [f"{mode} {interval_text(row, f'{mode}_start')}" for mode in ("greedy", "sampled")]
    return ", ".join(part for part in parts if "[" in part)


def share(value: float) -> str:
    """Return a share, or another number, with three digits and no leading zero; empty for none."""
    return "" if math.isnan(value) else LEADING_ZERO.sub("", f"{value:.3f}")


def p_value(value: float) -> str:
    """Return a p-value with enough digits to tell small ones apart, empty for none."""
    if math.isnan(value):
        return ""
    if value < SMALLEST_SHOWN:
        return f"<{SMALLEST_SHOWN}".replace("0.", ".", 1)
    return f"{value:.4f}".replace("0.", ".", 1) if value < 0.01 else share(value)


def amount(value: float, unit: str = "") -> str:
    """Return a number with three digits and a decimal prefix, empty for none."""
    if math.isnan(value):
        return ""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.0f} {unit}".strip()


def interval_text(row: dict, name: str, signed: bool = False) -> str:
    """Return a mean with its interval, of a row's numbers called name, name_low and name_high.

    Where there is no interval it is the mean alone, and empty for none.
    """
    values = [row[name], row[name + "_low"], row[name + "_high"]]
    mean, low, high = (("+" if signed and v > 0 else "") + share(v) for v in values)
    return f"{mean} [{low}, {high}]" if low and high else mean


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [list(table.columns), *table.to_numpy().tolist()]
