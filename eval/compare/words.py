"""A comparison in words: its table for reading, and what the table can and cannot tell."""

import math
from collections.abc import Sequence

import pandas as pd

from eval.compare.comparison import Comparison
from eval.compare.groups import differing_settings, setting_text
from objectives.text_table import aligned

COSTS = ["tokens trained", "tokens generated", "FLOPs", "minutes", "memory"]


def display_table(comparison: Comparison) -> pd.DataFrame:
    """Return the table as text, a row per line, without columns in which no line has anything."""
    rows = []
    for row in comparison.table.to_dict("records"):
        shown = {
            "objective": row["objective"],
            "seeds": f"{row['seeds']}",
            "learning rate": f"{row['learning_rate']:g}",
            "best (step)": f"{row['best_step']}",
            "last (step)": f"{row['last_step']}",
        }
        for mode in ("greedy", "sampled"):
            for name in ("best", "last"):
                shown[f"{mode}, {name}"] = _interval(row, f"{mode}_{name}")
        shown |= {
            "drop": share(row["drop"]),
            f"against {comparison.baseline}": "baseline"
            if row["objective"] == comparison.baseline
            else _interval(row, "difference", signed=True),
            "p (Holm)": p_value(row["p_adjusted"]),
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
    sweep, seeds = comparison.sweep, comparison.sweep_seeds
    if sweep is None or seeds is None:
        raise ValueError("no objective has several learning rates")
    accuracies, counts = sweep.to_dict("index"), seeds.to_dict("index")
    rows = []
    for line in comparison.lines:
        row = {"objective": line.label}
        for rate, accuracy in accuracies[line.label].items():
            count = counts[line.label][rate]
            shown = "" if math.isnan(accuracy) else f"{share(accuracy)} ({count:.0f})"
            row[f"{rate:g}"] = shown + "*" * (rate == line.learning_rate)
        rows.append(row)
    return pd.DataFrame(rows)


def sweep_caption(comparison: Comparison) -> str:
    """Return a sentence on the sweep."""
    return (
        f"{comparison.metric.capitalize()} accuracy after the last step on the even-numbered "
        f"problems, mean over seeds, whose number is in parentheses; a star marks the rate that "
        f"was chosen, of which everything else here is."
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
    rows = [table.columns, ["---", *["---:"] * (table.shape[1] - 1)], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def notes(comparison: Comparison, left_out: Sequence[str]) -> list[str]:
    """Return sentences on what was measured, how, and what cannot be concluded."""
    lines, metric = comparison.lines, comparison.metric
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
    if comparison.sweep is not None:
        said.append(
            f"Learning rates were chosen by {metric} accuracy after the last step, mean over "
            f"seeds, on the even-numbered of {comparison.problems} problems, and best steps "
            f"likewise; every accuracy and difference in table and figures is of the odd-numbered "
            f"ones, so nothing was chosen on what it is judged by."
        )
    else:
        said.append(
            f"The best step is the one with the highest {metric} accuracy, mean over seeds, on the "
            f"very problems that are reported, so accuracy at the best step flatters, and so does "
            f"the drop after it; accuracy after the last step was not chosen."
        )
    said.append(
        "Intervals are of 95 %. Those of accuracies are Wilson's, at the number of problems that "
        "leaves as much doubt as problems and seeds do; those of differences, after the last step, "
        "come from 10,000 resamples of problems, the same for both sides, and of each side's "
        "seeds; p-values are two-sided, at least .0002, and adjusted by Holm's method for all "
        "comparisons with the baseline, which intervals are not."
    )
    said.append(_on_seeds([len(line.runs) for line in lines]))
    said += _unequal(comparison)
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
    parts = [f"{mode} {_interval(row, f'{mode}_start')}" for mode in ("greedy", "sampled")]
    return ", ".join(part for part in parts if "[" in part)


def _on_seeds(counts: list[int]) -> str:
    if max(counts) == 1:
        return (
            "One seed each: intervals and p-values are over problems alone. They tell these runs "
            "apart, not objectives: another seed may give another order."
        )
    if min(counts) < 5:
        seeds = " or ".join(map(str, sorted(set(counts))))
        alone = "; a line with one seed tells nothing of others" if 1 in counts else ""
        return (
            f"{seeds} seeds tell little of how much seeds differ: where they differ much, "
            f"intervals are too narrow{alone}."
        )
    return "Intervals hold for other problems and seeds of this kind, not for other models or data."


def _unequal(comparison: Comparison) -> list[str]:
    """Return a sentence for each setting that sets objectives apart beyond what is their own."""
    sentences = []
    runs = [run for line in comparison.lines for run in line.runs]
    for name in differing_settings(runs, shared=True):
        owners: dict[str, list[str]] = {}
        for line in comparison.lines:
            if f" {name}=" not in line.label:
                text = setting_text(line.runs[0].config[name])
                owners.setdefault(text, []).append(line.label)
        if len(owners) > 1:
            usual = max(owners, key=lambda text: len(owners[text]))
            others = [f"{text} for {', '.join(owners[text])}" for text in owners if text != usual]
            listed = "; ".join([*others, f"{usual} for the rest"])
            sentences.append(f"Not equal for all: {name.replace('_', ' ')} is {listed}.")
    return sentences


def share(value: float) -> str:
    """Return a share with three digits and no leading zero, empty for none."""
    return "" if math.isnan(value) else f"{value:.3f}".replace("0.", ".", 1)


def p_value(value: float) -> str:
    """Return a p-value with enough digits to tell small ones apart, empty for none."""
    if math.isnan(value):
        return ""
    return f"{value:.4f}".replace("0.", ".", 1) if value < 0.01 else share(value)


def amount(value: float, unit: str = "") -> str:
    """Return a number with three digits and a decimal prefix, empty for none."""
    if math.isnan(value):
        return ""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.0f} {unit}".strip()


def _interval(row: dict, name: str, signed: bool = False) -> str:
    values = [row[name], row[name + "_low"], row[name + "_high"]]
    if any(map(math.isnan, values)):
        return ""
    mean, low, high = (("+" if signed and v > 0 else "") + share(v) for v in values)
    return f"{mean} [{low}, {high}]"


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [list(table.columns), *table.to_numpy().tolist()]
