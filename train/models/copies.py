"""Copies of a model, and what is trained of it written from one into another."""

import copy
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from diagnostics.parameters import trained_parameters
from objectives.causal_lm import backbone_of
from train.devices.sharding import forget_whole, own_part, shard, spread_like
from train.models.kinds import first_of
from train.models.language_model import LanguageModel
from train.models.misfit import misfit
from train.models.quantised import quantised_layers


def sharded(whole: LanguageModel, device: torch.device) -> LanguageModel:
    """Return a copy of a model whose weights are spread over the run's processes."""
    model = copy_around(whole.model, whole.model.parameters())
    trunk = shard(model, device)
    return LanguageModel(model, trunk, whole.precision, whole)


def frozen_copy(language_model: LanguageModel) -> LanguageModel:
    """Return a copy whose parameters take no gradients, to serve as reference or anchor.

    Of a model with an adapter the adapter is copied; what it was put into is the same tensors,
    unless they are sharded.
    """
    if language_model.source is not None:
        twin = sharded(language_model.source, language_model.model.device)
        copy_parameters(language_model.model, twin.model)
        twin.model.requires_grad_(False)
        return twin
    every, trained = language_model.model, trained_parameters(language_model.model)
    own = set(map(id, trained.values()))
    model = copy_around(every, [p for p in every.parameters() if id(p) not in own])
    model.requires_grad_(False)
    return LanguageModel(model, backbone_of(model), language_model.precision)


def copy_around(model: PreTrainedModel, shared: Iterable[Tensor]) -> PreTrainedModel:
    """Return a copy of a model's modules around some of its own tensors, which are not copied.

    Nor are quantised layers, whose scales are beside the tensors.
    """
    kept = (*shared, *quantised_layers(model))
    return copy.deepcopy(model, {id(part): part for part in kept})


def parameters_of(models: Mapping[str, LanguageModel]) -> dict[str, Tensor]:
    """Return what is trained of several models, by the model's name and the parameter's.

    Of sharded models, this process's part.
    """
    for model in models.values():
        forget_whole(model.model)
    return {
        f"{name}.{parameter}": own_part(value.detach()).clone()
        for name, model in models.items()
        for parameter, value in trained_parameters(model.model).items()
    }


def check_models(
    tensors: Mapping[str, Tensor], models: Collection[str], known: Collection[str]
) -> None:
    """Raise ValueError where tensors, as `parameters_of` returns them, are of none of the models.

    known: the names that models may have.
    """
    if strange := set(models) - set(known):
        raise ValueError(f"it has a policy {first_of(strange)}, for which there is no place")
    strange = {name for name in tensors if name.split(".", 1)[0] not in models}
    if strange:
        raise ValueError(f"it has {first_of(strange)}, for which there is no place")


@torch.no_grad()
def load_parameters(model: LanguageModel, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Write into a model what `parameters_of` returned under a name.

    Raises ValueError where something is missing, too many, or of another shape or dtype.
    """
    forget_whole(model.model)
    start = f"{name}."
    found = {n.removeprefix(start): x for n, x in tensors.items() if n.startswith(start)}
    wanted = {n: own_part(value) for n, value in trained_parameters(model.model).items()}
    if reason := misfit(found, wanted):
        raise ValueError(f"of policy {name}: {reason}")
    for parameter, value in wanted.items():
        value.copy_(found[parameter])


@torch.no_grad()
def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Write what is trained of one model into another of the same shape, which may be sharded."""
    for model in (source, target):
        forget_whole(model)
    theirs = trained_parameters(source)
    for name, value in trained_parameters(target).items():
        own_part(value).copy_(own_part(spread_like(theirs[name], value)))
