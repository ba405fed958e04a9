"""Which numbers a hyper-parameter may be, said in its annotation, beside its default."""

import functools
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin


@dataclass(frozen=True)
class Domain:
    """Finite numbers between bounds; None: there is no such bound."""

    above: float | None = None  # itself left out
    least: float | None = None
    most: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        if self.above is not None:
            return f"above {self.above:g}"
        if self.least is not None:
            return f"{self.least:g} or more"
        return "finite" if self.most is None else f"{self.most:g} or less"


Positive = Annotated[float, Domain(above=0)]
NonNegative = Annotated[float, Domain(least=0)]
Probability = Annotated[float, Domain(least=0, most=1)]


def domain_of(annotation: Any) -> Domain | None:
    """Return the domain in an annotation, also where it is one of several; None without one."""
    if get_origin(annotation) is Annotated:
        return next((x for x in get_args(annotation) if isinstance(x, Domain)), None)
    if get_origin(annotation) in (Union, UnionType):
        found = map(domain_of, get_args(annotation))
        return next((domain for domain in found if domain is not None), None)
    return None


def without_domain(annotation: Any) -> Any:
    """Return an annotation without what it says of domains: the kind of its values."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return functools.reduce(operator.or_, map(without_domain, get_args(annotation)))
    return annotation


def domains_of(function: Callable) -> dict[str, Domain]:
    """Return the domain of each parameter of a function that has one."""
    parameters = inspect.signature(function, eval_str=True).parameters
    found = {name: domain_of(parameter.annotation) for name, parameter in parameters.items()}
    return {name: domain for name, domain in found.items() if domain is not None}


def check_domains(function: str, domains: Mapping[str, Domain], values: Mapping[str, Any]) -> None:
    """Raise ValueError for a number that is outside of its domain, by the name of its parameter.

    Tensors are not looked at: that would wait for their device.
    """
    for name, value in values.items():
        if name in domains and isinstance(value, int | float) and value not in domains[name]:
            raise ValueError(f"{function}: {name} must be {domains[name]}, got {value!r}")
