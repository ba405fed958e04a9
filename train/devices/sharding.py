"""Weights spread over the processes of a run: FSDP2, each process with a part of every parameter.

Layers are gathered when they compute, embeddings and head from the forward pass to the end of the
backward pass, since the log-prob kernel uses the head between the two.
"""

import functools
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from diagnostics.parameters import has_adapter, trained_parameters
from objectives.causal_lm import backbone_of
from train.devices import processes

TRUNK = "trunk"  # the attribute of a sharded model that computes its backbone


def shard(model: PreTrainedModel, device: torch.device) -> Callable:
    """Spread a model's parameters over all processes, in place; gradients are their sums.

    device: of this process, to which copies of the parameters move, layer by layer, and of which
    it keeps its part. The parameters that the model had stay as they were.
    Returns what gives what the backbone gives: the model itself must be what is called.
    """
    mesh, again = _mesh(device.type), _gathered_again()
    for layer in layers_of(model):
        _copy_parameters(layer, device)
        fully_shard(layer, mesh=mesh, reshard_after_forward=again)
    _copy_parameters(model, device)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    for module in _parts(model):
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    # What is no parameter.
    model.to(device)  # pyright: ignore[reportArgumentType] wrapped, and declared without self
    setattr(model, TRUNK, types.MethodType(_trunk, model))
    register_fsdp_forward_method(model, TRUNK)
    return getattr(model, TRUNK)


def _gathered_again() -> bool:
    """Say whether layers are dropped after the forward pass and gathered again for the backward."""
    asked = processes.sharding()
    return asked is not None and bool(asked.reshard_after_forward)


@functools.cache
def _mesh(device_type: str) -> DeviceMesh:
    return init_device_mesh(device_type, (processes.count(),))


def _copy_parameters(module: nn.Module, device: torch.device) -> None:
    """Give a module copies, on the device, of those of its parameters that are not spread yet."""
    copies: dict[int, nn.Parameter] = {}  # by the original: tied ones stay tied
    for part in module.modules():
        for name, own in part.named_parameters(recurse=False, remove_duplicate=False):
            if isinstance(own, DTensor):
                continue
            if id(own) not in copies:
                copied = own.detach().to(device, copy=True)
                copies[id(own)] = nn.Parameter(copied, own.requires_grad)
            setattr(part, name, copies[id(own)])


def _trunk(model: PreTrainedModel, **inputs):
    return backbone_of(model)(**inputs)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return a model's layers, one after the other."""
    return [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]


def is_sharded(model: nn.Module) -> bool:
    """Say whether a model's parameters are spread over the processes."""
    return isinstance(model, FSDPModule)


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Keep all of a model in each process, so that they may call it as often as each likes."""
    if not is_sharded(model):
        yield
        return
    again = _gathered_again()
    for module in _parts(model):
        module.unshard()
        module.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for module in _parts(model):
            module.reshard()
            module.set_reshard_after_forward(again and module is not model, recurse=False)


def forget_whole(model: nn.Module) -> None:
    """Drop what is gathered of a model, so that each process has its part of the parameters.

    Without it they are what was gathered last, also when they have been written since.
    """
    for module in _parts(model):
        module.reshard()


def own_part(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, all of one that is not spread."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def spread_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a tensor spread as a parameter is; itself where there is nothing to do."""
    if not isinstance(parameter, DTensor) or isinstance(tensor, DTensor):
        return tensor
    tensor = tensor.to(parameter.device)
    return distribute_tensor(
        tensor, parameter.device_mesh, parameter.placements, src_data_rank=None
    )


def whole_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor gathered from all processes, itself where it is not spread."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def from_own_part(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return the spread tensor of a parameter's shape that this process has its part of."""
    if not isinstance(parameter, DTensor) or tensor.dim() != parameter.dim():
        return tensor
    return DTensor.from_local(
        tensor.to(parameter.device), parameter.device_mesh, parameter.placements, run_check=False,
        shape=parameter.shape, stride=parameter.stride(),
    )  # fmt: skip


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's weights gathered on the CPU of the main process; in others nothing.

    Of one with an adapter, the adapter's.
    """
    forget_whole(model)
    weights, state = {}, model.state_dict()
    if has_adapter(model):
        state = {name: state[name] for name in trained_parameters(model)}
    for name, value in state.items():
        tensor = whole_tensor(value)
        if processes.is_main():
            weights[name] = tensor.cpu()
    return weights


def _parts(model: nn.Module) -> Iterable[FSDPModule]:
    return (module for module in model.modules() if isinstance(module, FSDPModule))
