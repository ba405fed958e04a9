"""What happened between a reference and a policy: pairs that moved, and what would have held."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from diagnostics.entanglement.bounds import (
    FPA,
    REDI,
    RPO,
    best_value,
    inside,
    lam_column,
    redi_bounds,
    rpo_bounds,
    share_within,
)
from diagnostics.entanglement.measure import MeasuredPairs
from diagnostics.entanglement.moved import KINDS, QUANTILE, mean_over_pairs, moved_table
from diagnostics.entanglement.training_log import TrainingLog
from diagnostics.log_probs import SIDES
from objectives.batch import log_ratio_sum

LAMS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0)  # of the future policy, tried


class Explanation(NamedTuple):
    table: pd.DataFrame  # a line per pair, in the data's order
    summary: dict  # what `explained_in_words` says and the picture shows
    log: TrainingLog | None


def explain(
    measured: MeasuredPairs,
    table: pd.DataFrame,
    before: pd.DataFrame,
    objectives: Sequence[str],
    fpa_ratios: Mapping[float, np.ndarray],
    beta: float,
    log: TrainingLog | None = None,
) -> Explanation:
    """Compare pairs at the policy with the same at the reference.

    measured: at the policy. table, before: of `MeasuredPairs.table` at the policy and at the
    reference, with columns of `objectives`. fpa_ratios: (N,) c_l/c_w of fpa, by λ, in the order
    of measured. beta: rpo's β. log: what the run logged, if known.
    """
    batch = measured.batch
    assert batch.anchor is not None  # `join_log_probs` sets both
    assert batch.reference is not None
    moved = moved_table(batch.anchor, batch.reference, batch.mask, measured.overlaps)
    ratio = log_ratio_sum(batch.anchor, batch).double().cpu()
    preference = beta * torch.sigmoid(-beta * (ratio[::2] - ratio[1::2])).numpy()
    own = table.sort_index()
    tried = [redi_bounds(own), rpo_bounds(own, preference), lam_column(own, fpa_ratios)]
    regimes = {
        f"regime_{name}_{when}": of.sort_index()[f"regime_{name}_used"]
        for name in objectives
        for when, of in (("reference", before), ("policy", table))
    }
    first = own[["pair", "prompt", "window_low", "window_high"]]
    whole = pd.concat([first, moved, pd.DataFrame(regimes), *tried], axis=1)
    shares = {lam: float(inside(own, each).mean()) for lam, each in fpa_ratios.items()}
    whole = whole.sort_values("pair")
    return Explanation(whole, _summary(whole, objectives, shares, log), log)


def _summary(
    table: pd.DataFrame,
    objectives: Sequence[str],
    fpa_shares: dict[float, float],
    log: TrainingLog | None,
) -> dict:
    prompts = table["prompt"].tolist()

    def mean(name: str) -> dict:
        return {k: v if v == v else None
                for k, v in mean_over_pairs(table[name], prompts)._asdict().items()}  # fmt: skip

    sides = {}
    for side in SIDES:
        sides[side] = {
            "change": mean(f"change_{side}"),
            "share_fell": float((table[f"change_{side}"] < 0).mean()),
            "tokens": {kind: float(table[f"tokens_{side}_{kind}"].mean()) for kind in KINDS},
            "change_of": {kind: mean(f"change_{side}_{kind}") for kind in KINDS},
            "unlikely_reference": float(table[f"unlikely_reference_{side}"].mean()),
            "unlikely_policy": float(table[f"unlikely_{side}"].mean()),
        }
    return {
        "quantile": QUANTILE,
        "pairs": len(table),
        "prompts": len(set(prompts)),
        "sides": sides,
        "objectives": {name: _left(table, name) for name in objectives},
        "inside_window": {
            **{name: _kept(table, name) for name in (REDI, RPO)},
            FPA: {f"{lam:g}": share for lam, share in fpa_shares.items()},
        },
        "log": None if log is None else _logged(log),
    }


def _left(table: pd.DataFrame, name: str) -> dict:
    before, after = (table[f"regime_{name}_{when}"] == "ideal" for when in ("reference", "policy"))
    left = table[before & ~after]
    return {
        "ideal_reference": int(before.sum()),
        "ideal_policy": int(after.sum()),
        "left": left["pair"].tolist(),
        "entered": table["pair"][~before & after].tolist(),
        "left_to": left[f"regime_{name}_policy"].value_counts().to_dict(),
    }


def _kept(table: pd.DataFrame, name: str) -> dict:
    value, share = best_value(table, name)
    return {
        "best": value,
        "share_at_best": share,
        "share_at_1": share_within(table, name, 1.0),
        "any": int(((table[f"{name}_low"] <= 0) & (table[f"{name}_high"] == np.inf)).sum()),
    }


def _logged(log: TrainingLog) -> dict:
    return {
        "file": str(log.path),
        "not_finite": log.left_out,
        "courses": {
            name: {**each._asdict(), "fell": each.fell, "rose": each.rose}
            for name, each in log.courses().items()
        },
    }
