"""Which parameters a gradient is taken with respect to."""

import re

from torch import nn

ADAPTER = ".lora_"  # in the names of what peft's LoRA adds to a layer


def has_adapter(model: nn.Module) -> bool:
    """Say whether peft has put an adapter into a model."""
    return bool(getattr(model, "peft_config", None))


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, by name: all, or those of its adapter.

    Where a model has one, it is LoRA's (arXiv 2106.09685), put there by peft.
    """
    named = dict(model.named_parameters())
    if not has_adapter(model):
        return named
    return {name: parameter for name, parameter in named.items() if ADAPTER in name}


def select_parameters(model: nn.Module, which: str = "all") -> dict[str, nn.Parameter]:
    """Return parameters by name, each once even where it is tied.

    which: `all`, those that training changes (of a model with a LoRA adapter, the adapter's);
    `head`, the output head's (where it is tied to the embedding, the shared
    parameter, with its gradient through both uses); or a regular expression searched for in the
    names, those of tied copies included.
    Raises ValueError where nothing is left, or the expression is none.
    """
    if which == "all":
        return trained_parameters(model)
    named = dict(model.named_parameters())
    if which == "head":
        get_head = getattr(model, "get_output_embeddings", lambda: None)
        wanted = {id(p) for p in getattr(get_head(), "parameters", tuple)()}
        reason = f"{type(model).__name__} states no output head"
    else:
        try:
            pattern = re.compile(which)
        except re.error as error:
            raise ValueError(f"parameters {which!r}: not a regular expression ({error})") from None
        every = model.named_parameters(remove_duplicate=False)
        wanted = {id(p) for name, p in every if pattern.search(name)}
        reason = f"no name matches; the first of {len(named)} is {next(iter(named), 'none')}"
    chosen = {name: p for name, p in named.items() if id(p) in wanted}
    if not chosen:
        raise ValueError(f"parameters {which!r}: {reason}")
    return chosen
