"""A policy's weights as a model without adapter has them: names of transformers, adapters added."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

if TYPE_CHECKING:
    from peft.tuners.tuners_utils import BaseTunerLayer

BASE_LAYER = "base_layer."


@torch.no_grad()
def whole_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights by name, one at a time; the model stays as it is.

    Of layers with an adapter, the sum of both, in the dtype of the base's.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer  # peft takes a while to import

    added, of_adapters = {}, set()
    for prefix, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer):
            added[f"{prefix}.{BASE_LAYER}weight"] = layer
            own = (name for name, _ in model.get_submodule(prefix).named_parameters())
            of_adapters |= {f"{prefix}.{n}" for n in own if not n.startswith(BASE_LAYER)}
    for name, values in model.named_parameters():
        if name in of_adapters:
            continue
        if name in added:
            values = values + _delta(added[name]).to(values.dtype)
        yield name.replace(f".{BASE_LAYER}", "."), values


def _delta(layer: "BaseTunerLayer") -> Tensor:
    """Return what a layer's active adapters add to its weight."""
    delta = cast(Any, layer).get_delta_weight  # declared of each kind of layer alone
    deltas = [delta(name) for name in layer.active_adapters]
    return torch.stack([own.float() for own in deltas]).sum(0)
