"""The matrix products of any piece of work, and what they take by themselves."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# What linear maps, forward and backward, come to, and what they are where no gradients are asked
# for; attention's products are within its own kernels.
PRODUCTS = {aten.mm, aten.addmm, aten.addmm_, aten.bmm, aten.baddbmm, aten.linear, aten.matmul}


class Laid(NamedTuple):
    """How a tensor lies in memory."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype

    def fresh(self) -> Tensor:
        """Return another tensor that lies like it."""
        reach = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        return torch.ones(reach, dtype=self.dtype).as_strided(self.shape, self.stride)


class Product(NamedTuple):
    """A product's function and what it is given: tensors as they lie, all else as it is."""

    function: Callable[..., Tensor]
    arguments: tuple
    named: tuple[tuple[str, object], ...]

    def seconds(self, timer: Callable[[], float]) -> float:
        """Return what it takes, of fresh tensors."""
        given = [a.fresh() if isinstance(a, Laid) else a for a in self.arguments]
        begun = timer()
        self.function(*given, **dict(self.named))
        return timer() - begun


class Recorded(TorchDispatchMode):
    """While it is entered, counts the matrix products, backward passes' too, by what they are."""

    def __init__(self):
        super().__init__()
        self.products: Counter[Product] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.overloadpacket in PRODUCTS:
            given = (
                Laid(x.shape, x.stride(), x.dtype) if isinstance(x, Tensor) else x for x in args
            )
            self.products[Product(func, tuple(given), tuple(kwargs.items()))] += 1
        return func(*args, **kwargs)


class Alone:
    """What recorded products take together by themselves: the least of several rounds for each."""

    def __init__(self, products: Counter[Product], timer: Callable[[], float]):
        self.products, self.timer = products, timer
        self.least = dict.fromkeys(products, float("inf"))

    @torch.inference_mode()
    def round(self) -> None:
        """Take the time of each once more."""
        for product in self.products:
            self.least[product] = min(self.least[product], product.seconds(self.timer))

    @property
    def seconds(self) -> float:
        return sum(count * self.least[product] for product, count in self.products.items())
