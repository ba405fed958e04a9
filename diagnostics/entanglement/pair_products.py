"""What the inner products of a pair's gradients say: cosine, split, ideal window and regime."""

from typing import NamedTuple

import torch
from torch import Tensor

REGIMES = ("ideal", "both up", "both down", "still", "reversed")


class Products(NamedTuple):
    """Of N pairs, (N,) each; g_w = ∇s of the chosen, g_l = ∇s of the rejected trajectory."""

    inner: Tensor  # ip = ⟨g_w, g_l⟩
    square_chosen: Tensor  # ‖g_w‖²
    square_rejected: Tensor  # ‖g_l‖²

    @property
    def cosine(self) -> Tensor:
        """`ip / (‖g_w‖ ‖g_l‖)`, 0 where a gradient is 0."""
        return _ratio(self.inner, self.square_chosen.sqrt() * self.square_rejected.sqrt())

    @property
    def normalised(self) -> Tensor:
        """`ip / min(‖g_w‖², ‖g_l‖²)`: with equal coefficients the pair is ideal below 1.

        The script published with arXiv 2410.13828 has the chosen norm twice in the minimum; the
        condition that the paper derives needs both.
        """
        return _ratio(self.inner, torch.minimum(self.square_chosen, self.square_rejected))

    @property
    def window(self) -> tuple[Tensor, Tensor]:
        """Bounds of the ideal `c_l / c_w`: `(ip/‖g_l‖², ‖g_w‖²/ip)`, `(0, inf)` for ip <= 0."""
        entangled = self.inner > 0
        low = torch.where(entangled, _ratio(self.inner, self.square_rejected), 0.0)
        high = torch.where(entangled, _ratio(self.square_chosen, self.inner), torch.inf)
        return low, high


class Split(NamedTuple):
    """The parts of ip that shared (S) and distinct (D) tokens make, (N,) each; they add up."""

    shared_shared: Tensor  # ⟨g_w^S, g_l^S⟩
    shared_distinct: Tensor  # ⟨g_w^S, g_l^D⟩
    distinct_shared: Tensor  # ⟨g_w^D, g_l^S⟩
    distinct_distinct: Tensor  # ⟨g_w^D, g_l^D⟩

    @property
    def inner(self) -> Tensor:
        return (
            self.shared_shared
            + self.shared_distinct
            + self.distinct_shared
            + self.distinct_distinct
        )

    @property
    def shares(self) -> Tensor:
        """Each part over ip, (N, 4), adding up to 1; outside [0, 1] where parts have both signs.

        nan where ip is 0.
        """
        return torch.stack(self, -1) / self.inner[:, None]


def products(gram: Tensor) -> Products:
    """Return the products of whole gradients from `pair_grams`, (N, 2P, 2P).

    The P weightings of a side must add up to 1 on every token (as shared and distinct do).
    Raises ValueError for another shape.
    """
    _check(gram)
    half = gram.shape[-1] // 2
    chosen, rejected = slice(None, half), slice(half, None)
    return Products(
        gram[:, chosen, rejected].sum((1, 2)),
        gram[:, chosen, chosen].sum((1, 2)).clamp(min=0),  # rounding aside, never below 0
        gram[:, rejected, rejected].sum((1, 2)).clamp(min=0),
    )


def split(gram: Tensor) -> Split:
    """Return the split of ip from `pair_grams` (N, 4, 4) with `split_weights`."""
    _check(gram)
    if gram.shape[-1] != 4:
        raise ValueError(f"a split needs (N, 4, 4) inner products, got {tuple(gram.shape)}")
    return Split(gram[:, 0, 2], gram[:, 0, 3], gram[:, 1, 2], gram[:, 1, 3])


def first_order_changes(
    of: Products, chosen: Tensor | float, rejected: Tensor | float, learning_rate: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the changes (Δs_w, Δs_l), (N,) each, that a small step on the pair makes.

    The step is `learning_rate (c_w g_w - c_l g_l)`, downhill for a loss with gradient
    `-(c_w g_w - c_l g_l)` (arXiv 2410.13828): `Δs_w = c_w‖g_w‖² - c_l ip`, `Δs_l = c_w ip -
    c_l‖g_l‖²`, times the learning rate.

    chosen, rejected: the coefficients c_w and c_l, numbers or (N,).
    """
    return (
        learning_rate * (chosen * of.square_chosen - rejected * of.inner),
        learning_rate * (chosen * of.inner - rejected * of.square_rejected),
    )


def regime(of: Products, chosen: Tensor | float, rejected: Tensor | float) -> Tensor:
    """Return which way a small step moves the pair, (N,) indices of REGIMES; -1 for nan.

    ideal: chosen up and rejected down; both up and both down: neither goes the other way, and
    not both stand still (still). reversed, chosen down and rejected up, needs a negative
    coefficient: otherwise Cauchy-Schwarz forbids it.

    chosen, rejected: the coefficients c_w and c_l, numbers or (N,); 1 and a ratio will do.
    """
    up, down = first_order_changes(of, chosen, rejected)
    result = torch.full(up.shape, REGIMES.index("both down"), device=up.device)
    for name, holds in (
        ("both up", (up >= 0) & (down >= 0)),
        ("ideal", (up > 0) & (down < 0)),
        ("still", (up == 0) & (down == 0)),
        ("reversed", (up < 0) & (down > 0)),
    ):
        result[holds] = REGIMES.index(name)
    result[up.isnan() | down.isnan()] = -1
    return result


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    return torch.where(bottom > 0, top / bottom.where(bottom > 0, 1.0), 0.0)


def _check(gram: Tensor) -> None:
    if gram.dim() != 3 or gram.shape[1] != gram.shape[2] or gram.shape[1] % 2:
        raise ValueError(f"inner products must be (N, 2P, 2P), got {tuple(gram.shape)}")
