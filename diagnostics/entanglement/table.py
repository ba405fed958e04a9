"""What entangles pairs, as a table: a line per pair, for people and for pandas."""

from typing import cast

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from torch import Tensor

from diagnostics.entanglement.ches import Ches
from diagnostics.entanglement.coefficients import PairCoefficients
from diagnostics.entanglement.overlap import Overlap
from diagnostics.entanglement.pair_products import REGIMES, Products, Split, products, regime
from diagnostics.entanglement.parts import PARTS, shared_parts

TIMES = ("now", "future", "used")  # at θ, at the future policy, and by the objective itself
UNDEFINED = "undefined"  # the regime where a coefficient or a gradient is nan


def whole_products(gram: Tensor, overlaps: list[Overlap]) -> Products:
    """Return the products of whole gradients, in float64, from `pair_grams`, (N, 2P, 2P).

    Of identical completions all three are the same number, rounding or not: such a pair stands
    still. (Both sides have the same prompt.)
    """
    of = products(gram.double())
    same = torch.tensor([o.overlap == 1 for o in overlaps], device=gram.device)
    square = torch.where(same, of.square_chosen, of.square_rejected)
    return Products(torch.where(same, square, of.inner), of.square_chosen, square)


def pair_table(gram: Tensor, overlaps: list[Overlap], ches: Ches | None = None) -> pd.DataFrame:
    """Return a line per pair: overlap, inner products, where they live, window and regime.

    gram: (N, 8, 8), from `pair_grams` with `part_weights`. overlaps: of the N pairs.
    ches: of the N pairs, for two more columns.

    Columns: n_chosen, n_rejected, prefix, overlap; cosine, inner_product, normalised_inner_product
    (over the smaller squared norm: at equal coefficients a pair is ideal below 1), norm_chosen,
    norm_rejected; share_A_B, the share of the inner product that tokens A of the chosen and B of
    the rejected make, shared and distinct by the longest common subsequence (`share_shared` is
    shared with shared; the four add up to 1); share_prefix (common prefix with itself) and
    share_decision (the first tokens that differ, with each other); window_low, window_high, and
    regime at equal coefficients. Shares are nan where the inner product is 0.
    Raises ValueError where gram and overlaps differ in number or shape.
    """
    size = 2 * len(PARTS)
    if gram.shape != (len(overlaps), size, size):
        raise ValueError(f"gram must be ({len(overlaps)}, {size}, {size}), got {tuple(gram.shape)}")
    of = whole_products(gram, overlaps)
    shares = _shares(gram, overlaps, of)
    low, high = of.window
    table = pd.DataFrame(
        {
            "n_chosen": [len(o.shared_a) for o in overlaps],
            "n_rejected": [len(o.shared_b) for o in overlaps],
            "prefix": [o.prefix for o in overlaps],
            "overlap": [o.overlap for o in overlaps],
            "cosine": _numbers(of.cosine),
            "inner_product": _numbers(of.inner),
            "normalised_inner_product": _numbers(of.normalised),
            "norm_chosen": _numbers(of.square_chosen.sqrt()),
            "norm_rejected": _numbers(of.square_rejected.sqrt()),
            **{f"share_{name}": _numbers(share) for name, share in shares.items()},
            "window_low": _numbers(low),
            "window_high": _numbers(high),
            "regime": _names(regime(of, 1.0, 1.0)),
        }
    )
    if ches is not None:
        table["ches"] = _numbers(ches.score)
        table["ches_normalised"] = _numbers(ches.normalised)
    return table


def objective_columns(
    of: Products, name: str, now: PairCoefficients, ahead: PairCoefficients, used: PairCoefficients
) -> pd.DataFrame:
    """Return columns of an objective: `ratio_NAME_now`, `weight_`, `regime_`, `_future`, `_used`.

    of: from `whole_products`. now, ahead: of the N pairs at θ and at the future policy. used: by
    the objective itself, which may take one side's at θ and the other's at the future policy.
    The ratio is `c_l / c_w`, the weight `c_w`; the regime is that of a small step with both.
    """
    columns = {}
    for time, each in zip(TIMES, (now, ahead, used), strict=True):
        chosen, rejected = (c.to(of.inner) for c in each)
        columns[f"ratio_{name}_{time}"] = _numbers(each.ratio)
        columns[f"weight_{name}_{time}"] = _numbers(each.chosen)
        columns[f"regime_{name}_{time}"] = _names(regime(of, chosen, rejected))
    return pd.DataFrame(columns)


def times_apart(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Return those of TIMES to show of an objective: what it uses only where it is neither."""
    now, future, used = (
        table[[f"{what}_{name}_{time}" for what in ("ratio", "weight")]].to_numpy()
        for time in TIMES
    )
    known = any(np.array_equal(used, other, equal_nan=True) for other in (now, future))
    return TIMES[:2] if known else TIMES


def most_entangled(table: pd.DataFrame) -> int:
    """Return the line of the highest cosine, among pairs that differ at all if there are any."""
    differ = table[table["overlap"] < 1]
    cosine = (differ if len(differ) else table)["cosine"]
    return cast("int", cosine.idxmax())


def _shares(gram: Tensor, overlaps: list[Overlap], of: Products) -> dict[str, Tensor]:
    half = len(PARTS)
    cross = gram[:, :half, half:].double()
    shared = shared_parts(overlaps).to(cross)
    sides = torch.stack([shared, 1 - shared], 1)  # (N, shared or distinct, side, part)
    blocks = torch.einsum("nap,nbq,npq->nab", sides[:, :, 0], sides[:, :, 1], cross)
    split = Split(*rearrange(blocks, "pair chosen rejected -> (chosen rejected) pair"))
    names = ("shared", "shared_distinct", "distinct_shared", "distinct_distinct")
    shares: dict[str, Tensor] = dict(zip(names, split.shares.unbind(-1), strict=True))
    for name in ("prefix", "decision"):
        part = PARTS.index(name)
        shares[name] = cross[:, part, part] / of.inner
    return {name: torch.where(of.inner != 0, share, torch.nan) for name, share in shares.items()}


def _numbers(values: Tensor):
    return values.detach().double().cpu().numpy()


def _names(indices: Tensor) -> list[str]:
    return [REGIMES[i] if i >= 0 else UNDEFINED for i in indices.tolist()]
