"""Which parameters a gradient is taken with respect to."""

import re

from torch import nn


def select_parameters(model: nn.Module, which: str = "all") -> dict[str, nn.Parameter]:
    """Return parameters by name, each once even where it is tied.

    which: `all`; `head`, the output head's (where it is tied to the embedding, the shared
    parameter, with its gradient through both uses); or a regular expression searched for in the
    names, those of tied copies included.
    Raises ValueError where nothing is left, or the expression is none.
    """
    named = dict(model.named_parameters())
    if which == "all":
        return named
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
