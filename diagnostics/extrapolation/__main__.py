"""Is a run's future policy where the policy went? Error, best λ and skill over training.

python -m diagnostics.extrapolation --run runs/fpa
python -m diagnostics.extrapolation                 # the run under runs/ diagnosed last

Reads the forecasts that `python -m train --diagnose-every N` scored; of a run without them, makes
them from its checkpoints, where it has three at equal distances. Writes forecasts.csv, summary.csv
and a figure for each reference, and prints what they say.
"""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from objectives.errors import InputError, command_line
from objectives.output_lock import held
from train.config.flags import Parser
from train.config.groups import DiagnosticsConfig
from train.config.settings import Config

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 3  # checkpoints: to start from, to forecast and to score
MOST_HORIZONS = 4
PAIRS = 16


def main() -> None:
    parser = Parser("diagnostics.extrapolation", __doc__)
    parser.add_argument(
        "--run", type=Path, metavar="PATH",
        help="folder of a run, by default the one under runs/ that was diagnosed last",
    )  # fmt: skip
    parser.add_argument(
        "--lam", type=float, default=1.0, help="the fixed λ to show", metavar="NUMBER"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="by default RUN/extrapolation")
    arguments = parser.parse_args()

    # Imported here so that a mistyped flag is answered at once.
    from diagnostics.extrapolation.report import write_report
    from diagnostics.extrapolation.score import SKILL

    run = arguments.run or _diagnosed_last(Path("runs"))
    out = arguments.out or run / "extrapolation"
    table = forecasts(run)
    known = sorted(table.loc[table["quantity"] == SKILL, "lam"].unique())
    if arguments.lam not in known:
        raise InputError(
            f"--lam {arguments.lam:g}: choose from {', '.join(f'{x:g}' for x in known)}"
        )
    with held(out):
        write_report(table, arguments.lam, out)


def _diagnosed_last(parent: Path) -> Path:
    tables = sorted(parent.rglob("diagnostics.csv"), key=lambda path: path.stat().st_mtime)
    if not tables:
        raise InputError(
            f"no run under {parent}/ was trained with --diagnose-every: name one with --run"
        )
    print(f"run    {tables[-1].parent}")
    return tables[-1].parent


def forecasts(run: Path) -> "pd.DataFrame":
    """Return a run's scored forecasts as a long table (score.frame).

    Raises InputError where the folder is no run, or has neither forecasts nor checkpoints to make
    them from.
    """
    from diagnostics.extrapolation.table_file import read_long_table
    from train.store.opened import read_settings

    settings = read_settings(run)
    source = run / "diagnostics.csv"
    if source.is_file():
        table = read_long_table(source)
        table = table[table["horizon"].notna()].astype({"horizon": int})
        if len(table):
            return table
    return _from_checkpoints(run, settings)


def _from_checkpoints(run: Path, settings: dict) -> "pd.DataFrame":
    from diagnostics.extrapolation.ring import ProbeRing
    from diagnostics.extrapolation.score import ProbeTokens, Score, frame
    from objectives import OBJECTIVES
    from train.data.units import advantages
    from train.models.language_model import open_model
    from train.models.load import load_model
    from train.probes.pairs import require_probes
    from train.run.setup import set_up
    from train.store.checkpoints import find_checkpoints

    found = find_checkpoints(run)
    every, steps = _even_steps(set(found))
    if len(steps) < FEWEST:
        raise InputError(
            f"--run {run}: no forecast was scored in it and it has not {FEWEST} checkpoints at "
            f"equal distances to make some from; train with --diagnose-every N, for long enough"
        )
    print(f"no forecasts in {run}: making them from {len(steps)} checkpoints", flush=True)
    known = {entry.name for entry in fields(Config)}
    kept = {name: value for name, value in settings.items() if name in known}
    unwatched = {entry.name: entry.default for entry in fields(DiagnosticsConfig)}
    setup = set_up(Config(**{**kept, "eval_problems": "none", **unwatched}))
    objective = OBJECTIVES.find(settings["objective"])
    reward = advantages(setup.data, objective, setup.config.advantage)
    probes = require_probes(setup.data, reward, PAIRS, f"--run {run}")
    device = setup.base.device
    horizons = [every * 2**n for n in range(MOST_HORIZONS) if every * 2**n < steps[-1]]
    ring = ProbeRing(every, horizons, tokens=ProbeTokens(*(x.to(device) for x in probes.tokens)))
    scores: list[Score] = []
    for step in (0, *steps):
        policy = setup.base.model
        if step:
            policy = open_model(
                load_model(str(found[step]), device=str(device))[0], setup.base.model.precision
            )
        try:
            scores += ring.push(step, probes.snapshot(policy))
        except (ValueError, IndexError) as error:
            raise InputError(f"{run}: checkpoint {step} is of another model ({error})") from None
    return frame(scores)


def _even_steps(found: set[int]) -> tuple[int, list[int]]:
    """Return the first checkpoint's step, and its multiples as far as all have a checkpoint."""
    every = min(found - {0}, default=0)
    steps = []
    while every and every * (len(steps) + 1) in found:
        steps.append(every * (len(steps) + 1))
    return every, steps


if __name__ == "__main__":
    command_line(main)
