"""Evaluations side by side in words: tables for reading, and what they can and cannot tell."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from eval.compare.evaluations.comparing import MEAN, SideBySide
from eval.compare.words import interval_text, p_value

LONGEST = 60  # characters of a setting that is shown


def accuracy_table(compared: SideBySide) -> pd.DataFrame:
    """Return accuracies, or mean rewards, as text, a row per benchmark and a column per model."""
    rows = []
    for name, own in compared.table.groupby("benchmark", sort=False):
        cells = dict.fromkeys(compared.labels, "")
        for row in own.to_dict("records"):
            cells[row["model"]] = interval_text(row, compared.measure)
        rows.append({"benchmark": name, "problems": f"{own['problems'].iloc[0]:.0f}", **cells})
    return pd.DataFrame(rows)


def difference_table(compared: SideBySide) -> pd.DataFrame:
    """Return differences from the baseline as text, a row per benchmark and other model."""
    rows = []
    for row in compared.table.dropna(subset=["difference"]).to_dict("records"):
        p = row["p_value"] if row["benchmark"] == MEAN else row["p_adjusted"]
        rows.append({
            "benchmark": row["benchmark"],
            "model": row["model"],
            f"less {compared.baseline}": interval_text(row, "difference", signed=True),
            "p": p_value(row["p_value"]),
            "p (Holm)": "" if row["benchmark"] == MEAN else p_value(p),
            "better on": f"{row['better_on']:.0f}",
            "worse on": f"{row['worse_on']:.0f}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def title(compared: SideBySide) -> str:
    """Return the heading of a page."""
    count = len(compared.labels)
    return f"{'Two' if count == 2 else count} evaluations compared"


def remarks(compared: SideBySide) -> list[str]:
    """Return sentences on what was compared, how, and what cannot be concluded."""
    said = [
        "; ".join(
            f"{label}: model {e.model}, by {'python -m eval' if e.made_by == 'eval' else e.made_by}"
            for label, e in zip(compared.labels, compared.evaluations, strict=True)
        )
        + "."
    ]
    said += dict.fromkeys(sentence for e in compared.evaluations for sentence in e.notes)
    said += compared.left_out
    what = "Accuracy" if compared.measure == "accuracy" else "The reward"
    said.append(
        f"{what} is the mean over problems, each problem's score being the mean of its samples, "
        "with a 95 % interval over problems. A difference is of the same problems, with its 95 % "
        "interval and p by the paired t-test over problems; p (Holm) is adjusted for the number of "
        "benchmarks and models that were tested. It tells of these two models on problems such as "
        "these: whether training again would give the difference too, one model of each cannot "
        "tell; compare runs of several seeds for that."
    )
    if (compared.table["benchmark"] == MEAN).any():
        said.append(
            "The mean of benchmarks counts each alike, whatever its number of problems; its p is "
            "of that mean alone."
        )
    return said + _unequal(compared)


def _unequal(compared: SideBySide) -> list[str]:
    """Return a sentence on what differs between evaluations besides the model."""
    named = dict(zip(compared.labels, compared.evaluations, strict=True))
    programs = {e.made_by for e in named.values()}
    said = []
    if len(programs) > 1:
        said.append(
            "These were not made by one program: prompts, few-shot examples, limits of length and "
            "graders may differ, and so may accuracies for that reason alone."
        )
    names = dict.fromkeys(name for e in named.values() for name in e.benchmarks)
    for name in names:
        kept = {label: e.benchmarks[name] for label, e in named.items() if name in e.benchmarks}
        settings = {label: {"samples": g.samples, **g.settings} for label, g in kept.items()}
        if len(programs) > 1:  # whose settings have other names
            settings = {label: {"samples": g.samples} for label, g in kept.items()}
        for setting, values in _differing(settings).items():
            shown = ", ".join(f"{label} {_text(value)}" for label, value in values.items())
            said.append(f"{name} was evaluated with different {setting}: {shown}.")
    return said


def _differing(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for own in settings.values() for name in own)
    found = {}
    for name in names:
        values = {label: own.get(name) for label, own in settings.items()}
        if len({json.dumps(value, sort_keys=True) for value in values.values()}) > 1:
            found[name] = values
    return found


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not told"
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
