"""Inner products of the gradients of chosen and rejected trajectories, pair by pair."""

from collections.abc import Callable, Mapping

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from diagnostics.entanglement.gradients import Gradients, by_backward, by_vmap, check_weights
from diagnostics.entanglement.layerwise import NotRowByRow, by_layer
from diagnostics.entanglement.overlap import Overlap
from diagnostics.trajectories import Trajectories

ROUTES: dict[str, Callable[..., Gradients]] = {
    "layer": by_layer,
    "vmap": by_vmap,
    "backward": by_backward,
}
GRADIENT_ELEMENTS = 2**27  # of a parameter's gradients in memory at once: 512 MiB in float32
MOST_PAIRS = 16


def pair_grams(
    model: nn.Module,
    trajectories: Trajectories,
    weights: Tensor,
    parameters: Mapping[str, Tensor],
    *,
    route: str = "auto",
    pairs_at_once: int | None = None,
) -> Tensor:
    """Return the inner products of a pair's gradients, (N, 2P, 2P), N = B / 2 pairs.

    Row and column order: the P weightings of the chosen trajectory, then those of the rejected.
    With `split_weights`: chosen shared, chosen distinct, rejected shared, rejected distinct.
    Gradients of `pairs_at_once` pairs are in memory at a time, and given up when multiplied.
    Of pairs that are the same, token for token and weight for weight, only one is computed.

    trajectories: B rows, 2n the chosen and 2n + 1 the rejected of pair n.
    weights: (B, P, T), as `by_vmap` has them; parameters: as `select_parameters` returns.
    route: a key of ROUTES; `layer` needs the least memory, `vmap` fits the most models, and both
    are about as fast; `backward` is the slow plain one. `auto` is `layer`, or `vmap` a pair at a
    time for a model that does not work row by row.
    pairs_at_once: by default up to MOST_PAIRS, as many as GRADIENT_ELEMENTS has room for.
    Raises ValueError for an odd number of rows, weights that do not fit, other routes.
    """
    check_weights(trajectories, weights)
    if len(weights) % 2:
        raise ValueError(f"a pair has two rows, got {len(weights)} rows")
    if route == "auto":
        try:
            return pair_grams(
                model, trajectories, weights, parameters,
                route="layer", pairs_at_once=pairs_at_once,
            )  # fmt: skip
        except NotRowByRow:
            route, pairs_at_once = "vmap", 1
    if route not in ROUTES:
        raise ValueError(f"route must be one of {', '.join(ROUTES)} or auto, got {route!r}")
    if pairs_at_once is None:
        largest = max(p.numel() for p in parameters.values())
        room = GRADIENT_ELEMENTS // (2 * weights.shape[1] * largest)
        pairs_at_once = max(1, min(MOST_PAIRS, room))
    size = 2 * weights.shape[1]
    if not len(weights):
        return weights.new_zeros(0, size, size)
    first, copies = _distinct_pairs(trajectories, weights)
    # Pairs of about the same length together: fewer columns of padding to compute.
    lengths = reduce(trajectories.position, "(pair side) place -> pair", "max", side=2)
    order = first[lengths[first].argsort(stable=True)]
    grams = []
    for pairs in order.split(pairs_at_once):
        index = rearrange([2 * pairs, 2 * pairs + 1], "side pair -> (pair side)")
        part = trajectories.rows(index)
        gram = torch.zeros((), device=weights.device)
        few = weights[index, :, : part.mask.shape[1]]
        for _, gradients in ROUTES[route](model, part, few, parameters):
            blocks = rearrange(gradients, "(pair side) part ... -> pair (side part) (...)", side=2)
            gram = gram + _inner_products(blocks)
        grams.append(gram)
    place = torch.empty_like(copies)
    place[order] = torch.arange(len(order), device=order.device)
    return torch.cat(grams)[place[copies]]


def _distinct_pairs(trajectories: Trajectories, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first of each set of equal pairs, and for each pair the one equal to it, (N,)."""
    known: dict[bytes, int] = {}
    columns = (x.cpu().numpy() for x in (*trajectories, weights))
    fields = [rearrange(x, "(pair side) ... -> pair (side ...)", side=2) for x in columns]
    copies = [
        known.setdefault(b"".join(field[number].tobytes() for field in fields), number)
        for number in range(len(weights) // 2)
    ]
    device = weights.device
    return torch.tensor(list(known.values()), device=device), torch.tensor(copies, device=device)


def _inner_products(vectors: Tensor) -> Tensor:
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    with torch.autocast(vectors.device.type, enabled=False):
        return vectors @ vectors.mT


def split_weights(trajectories: Trajectories, overlaps: list[Overlap]) -> Tensor:
    """Return weights (B, 2, T) that split each row's tokens into shared and distinct.

    trajectories: B rows, chosen and rejected in turn; overlaps: of B / 2 pairs, chosen first.
    Raises ValueError where an overlap is not that of its rows.
    """
    masks = [side for o in overlaps for side in (o.shared_a, o.shared_b)]
    lengths = trajectories.mask.sum(-1).tolist()
    if [len(m) for m in masks] != lengths:
        raise ValueError("overlaps do not fit the trajectories: token counts differ")
    width = trajectories.mask.shape[1]
    shared = [torch.nn.functional.pad(mask, (0, width - len(mask))) for mask in masks]
    shared = torch.stack(shared).to(trajectories.mask.device)
    return torch.stack([shared, trajectories.mask & ~shared], 1).float()
