"""Is a run's future policy where the policy went? Error, best λ and skill over training.

python -m diagnostics.extrapolation --run runs/fpa

Reads the forecasts that `python -m train --diagnose-every N` scored; of a run without them, makes
them from its checkpoints, where it has three at equal distances. Writes forecasts.csv, summary.csv
and a figure for each reference, and prints what they say.
"""

import json
from dataclasses import fields
from pathlib import Path

import pandas as pd
import torch

from diagnostics.forecast_plot import draw_forecasts
from diagnostics.forecast_ring import ProbeRing
from diagnostics.forecast_score import Score, frame
from diagnostics.forecast_words import summarise, words
from diagnostics.probes import take_snapshot
from objectives import OBJECTIVES
from objectives.errors import InputError, command_line
from train.config import Config
from train.dataset import select_units
from train.flags import Parser
from train.ground import lay_ground
from train.language_model import open_model
from train.models import load_model
from train.probe_pairs import probe_pairs

FEWEST = 3  # checkpoints: to start from, to forecast and to score
MOST_HORIZONS = 4
PAIRS = 16


def main() -> None:
    parser = Parser(prog="python -m diagnostics.extrapolation", description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a run", metavar="X")
    parser.add_argument("--lam", type=float, default=1.0, help="the fixed λ to show", metavar="X")
    parser.add_argument("--out", type=Path, metavar="X", help="by default RUN/extrapolation")
    arguments = parser.parse_args()
    out = arguments.out or arguments.run / "extrapolation"
    table = forecasts(arguments.run)
    known = sorted(table.loc[table["quantity"] == "forecast_skill", "lam"].unique())
    if arguments.lam not in known:
        raise InputError(
            f"--lam {arguments.lam:g}: choose from {', '.join(f'{x:g}' for x in known)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "forecasts.csv", index=False)
    summaries = []
    for reference in sorted(table["reference"].unique()):
        summary = summarise(table, reference=reference, lam=arguments.lam)
        summaries.append(summary.assign(reference=reference))
        name = out / f"forecasts-{reference.replace(':', '-')}.png"
        draw_forecasts(table, reference=reference, lam=arguments.lam).savefig(name, dpi=130)
        print(f"\nforecasts from {reference}, medians; skill_fixed is at λ = {arguments.lam:g}")
        print(summary.to_string(index=False, float_format="{:.2f}".format))
        print(*words(summary, reference=reference, lam=arguments.lam), name, sep="\n")
    pd.concat(summaries).to_csv(out / "summary.csv", index=False)


def forecasts(run: Path) -> pd.DataFrame:
    """Return a run's scored forecasts as a long table (forecast_score.frame).

    Raises InputError where the folder is no run, or has neither forecasts nor checkpoints to make
    them from.
    """
    if not (run / "config.json").is_file():
        raise InputError(f"--run {run}: no run there (it has no config.json)")
    source = run / "diagnostics.csv"
    if source.is_file():
        table = pd.read_csv(source)
        table = table[table["horizon"].notna()].astype({"horizon": int})
        if len(table):
            return table
    return _from_checkpoints(run)


def _from_checkpoints(run: Path) -> pd.DataFrame:
    every, steps = _even_steps(run)
    if len(steps) < FEWEST:
        raise InputError(
            f"--run {run}: no forecast was scored in it and it has not {FEWEST} checkpoints at "
            f"equal distances to make some from; train with --diagnose-every N, for long enough"
        )
    print(f"no forecasts in {run}: making them from {len(steps)} checkpoints", flush=True)
    settings = json.loads((run / "config.json").read_text())
    if settings.get("objective") not in OBJECTIVES:
        raise InputError(f"{run / 'config.json'} names no objective: not a run of python -m train")
    known = {entry.name for entry in fields(Config)}
    kept = {name: value for name, value in settings.items() if name in known}
    unwatched = {"diagnose_every": 0, "diagnose": None, "horizons": None, "diagnose_pairs": None}
    ground = lay_ground(Config(**{**kept, "eval_problems": "none", **unwatched}))
    objective = OBJECTIVES[settings["objective"]]
    units = select_units(ground.encoded, objective, settings["rows"], settings["advantage"])
    probes = probe_pairs(ground.encoded, units, PAIRS, ground.tokenizer.pad_token_id)
    if probes is None:
        raise InputError(f"--run {run}: its data have no pairs of a correct and an incorrect "
                         f"trajectory of one prompt to look at")  # fmt: skip
    device = ground.base.model.device
    rows = probes.micro.rows.to(device)
    horizons = [every * 2**n for n in range(MOST_HORIZONS) if every * 2**n < steps[-1]]
    ring = ProbeRing(every, horizons, tokens=probes.tokens._replace(
        targets=rows.targets, mask=rows.mask))  # fmt: skip
    scores: list[Score] = []
    for step in (0, *steps):
        policy = ground.base
        if step:
            folder = run / "checkpoints" / f"step-{step}"
            policy = open_model(load_model(str(folder), device=str(device))[0])
        try:
            with torch.no_grad(), ground.precision:
                hidden = policy.hidden(rows)
            scores += ring.push(step, take_snapshot(hidden, policy.head))
        except (ValueError, IndexError) as error:
            raise InputError(f"{run}: checkpoint {step} is of another model ({error})") from None
    return frame(scores)


def _even_steps(run: Path) -> tuple[int, list[int]]:
    """Return the first checkpoint's step, and its multiples as far as all have a checkpoint."""
    found = {int(path.name[5:]) for path in run.glob("checkpoints/step-*")} - {0}
    every = min(found, default=0)
    steps = []
    while every and every * (len(steps) + 1) in found:
        steps.append(every * (len(steps) + 1))
    return every, steps


if __name__ == "__main__":
    command_line(main)
