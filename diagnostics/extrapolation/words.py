"""Forecasts over a run in a short table, and what it means in words."""

import pandas as pd

from diagnostics.extrapolation.score import (
    BEST_LAM,
    BEST_SKILL,
    DISPLACEMENT_COSINE,
    INITIAL,
    SKILL,
    lag_of,
)

PARTS = ("early", "middle", "late")  # thirds of the steps at which forecasts were made
GOOD, NOTHING = 0.3, 0.1  # skills from which a forecast is one, and below which it is none


def summarise(table: pd.DataFrame, *, reference: str = INITIAL, lam: float = 1.0) -> pd.DataFrame:
    """Return medians over each third of training, a row per horizon and third.

    table: long, as score.frame has it; reference: whose forecasts; lam: a fixed λ.
    Columns: horizon, part, forecasts (how many), best_lam, skill (at λ*), skill_fixed (at lam),
    cosine (of the displacement so far and to come), pace (λ* age / horizon: 1 where the policy
    goes on as fast as it came).
    """
    table = table[(table["reference"] == reference) & table["horizon"].notna()]
    wide = {
        "best_lam": table[table["quantity"] == BEST_LAM],
        "skill": table[table["quantity"] == BEST_SKILL],
        "skill_fixed": table[(table["quantity"] == SKILL) & (table["lam"] == lam)],
        "cosine": table[table["quantity"] == DISPLACEMENT_COSINE],
    }
    wide = {n: rows.set_index(["step", "horizon"])["value"] for n, rows in wide.items()}
    frame = pd.DataFrame(wide).reset_index()
    age = frame["step"].clip(upper=lag_of(reference))
    frame["pace"] = frame["best_lam"] * age / frame["horizon"]
    last = frame["step"].max()
    thirds = (3 * (frame["step"] - 1) // max(last, 1)).clip(0, 2).astype(int)
    frame["part"] = pd.Categorical.from_codes(
        thirds, dtype=pd.CategoricalDtype(list(PARTS), ordered=True)
    )
    groups = frame.groupby(["horizon", "part"], observed=True)
    medians = groups[["best_lam", "skill", "skill_fixed", "cosine", "pace"]].median()
    medians.insert(0, "forecasts", groups.size())
    return medians.reset_index()


def words(summary: pd.DataFrame, *, reference: str, lam: float = 1.0) -> list[str]:
    """Return sentences on what a summary says, a line each."""
    lag = lag_of(reference)
    start = "the initial policy" if lag is None else f"the policy of {lag} steps before"
    lines = []
    for part in PARTS:
        rows = summary[summary["part"] == part]
        if not len(rows):
            continue
        nearest, farthest = rows.iloc[0], rows.iloc[-1]
        skills = f"skill {nearest['skill']:.2f} at {nearest['horizon']:g} steps"
        if len(rows) > 1:
            skills += f", {farthest['skill']:.2f} at {farthest['horizon']:g}"
        lines.append(f"{part}: {_verdict(rows['skill'].median(), start)} ({skills}).")
    over = summary[summary["skill_fixed"] < 0]
    if len(over):
        where = ", ".join(f"{row.part} at {row.horizon:g} steps" for row in over.itertuples())
        lines.append(
            f"λ = {lam:g} is worse than no forecast: {where}. Where it helps training there, it "
            f"is as a brake."
        )
    elif summary["skill_fixed"].notna().any():
        lines.append(f"λ = {lam:g} is nowhere worse, in the median, than no forecast.")
    paces = summary.groupby("part", observed=True)["pace"].median()
    shown = ", ".join(f"{value:.2f} {part}" for part, value in paces.items())
    lines.append(
        f"The best λ over horizon / age (age: steps since {start}; 1: the policy goes on as fast "
        f"as it came): {shown}."
    )
    return lines


def _verdict(skill: float, start: str) -> str:
    if skill >= GOOD:
        return f"going on as from {start} predicts where the policy goes"
    if skill >= NOTHING:
        return f"going on as from {start} predicts a little"
    return f"going on as from {start} predicts next to nothing, at any λ"
