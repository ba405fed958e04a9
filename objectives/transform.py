"""What makes one objective from another: its name, keyword, signature and documentation."""

import inspect
import sys
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, cast

from objectives.contract import Hyper, Loss, Unit
from objectives.docstrings import parameter_help


class Entry(Protocol[Hyper]):
    """What holds an objective as its `loss`, as an entry of OBJECTIVES does."""

    @property
    def loss(self) -> Loss[Hyper]: ...


class Transform(Generic[Hyper]):
    """An objective made from another, which it has as its `base`, with one keyword more."""

    prefix: ClassVar[str]  # of its name, before that of its base
    keyword: ClassVar[str]  # an attribute too: the keyword's default
    kind: ClassVar[Any]  # the keyword's annotation

    base: Loss[Hyper]
    unit: Unit
    needs: tuple[str, ...]

    def __init__(
        self, base: Loss[Hyper], needs: tuple[str, ...], name: str | None, summary: str, text: str
    ):
        """needs: fields of Batch that it reads besides its base's. text: help of the keyword."""
        self.base, self._given_name = base, name
        self.unit, self.needs = base.unit, tuple(dict.fromkeys((*base.needs, *needs)))
        self.__name__ = self.__qualname__ = name or prefixed(self.prefix, base.__name__)
        self.__module__ = base.__module__
        _, _, rest = (inspect.getdoc(base) or "").partition("\n")
        if self.keyword not in parameter_help(rest):  # that of a form has it already
            rest += f"\n{self.keyword}: {text}."
        self.__doc__ = f"{summary}\n{rest}"
        self.__signature__ = self._signature()

    def of(self, base: Loss[Hyper], name: str | None = None) -> Loss[Hyper]:
        """Return the same transform of another objective."""
        made: Any = type(self)
        return made(base, getattr(self, self.keyword), name)

    def __reduce__(self):
        # One that a module has under its name is that one, as a function would be.
        if getattr(sys.modules.get(self.__module__), self.__name__, None) is self:
            return self.__name__
        return type(self), (self.base, getattr(self, self.keyword), self._given_name)

    def _signature(self) -> inspect.Signature:
        signature = inspect.signature(self.base, eval_str=True)
        others = [p for name, p in signature.parameters.items() if name != self.keyword]
        added = inspect.Parameter(
            self.keyword,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(self, self.keyword),
            annotation=self.kind,
        )
        return signature.replace(parameters=[*others, added])


def prefixed(prefix: str, name: str) -> str:
    """Return a name with a prefix: of `module:function`, the function has it."""
    place, colon, function = name.rpartition(":")
    return f"{place}{colon}{prefix}{function}"


def unprefixed(prefix: str, name: str) -> str | None:
    """Return a name without a prefix, or None where it has none."""
    place, colon, function = name.rpartition(":")
    rest = function.removeprefix(prefix)
    return None if rest == function else f"{place}{colon}{rest}"


def keywords(loss: Loss) -> set[str]:
    """Return the keywords that transforms gave an objective."""
    return {loss.keyword, *keywords(loss.base)} if isinstance(loss, Transform) else set()


def declared(objective: Any, taker: str = "future_policy") -> Loss:
    """Return the objective in what a transform takes. Raises ValueError where there is none."""
    objective = getattr(objective, "loss", objective)
    if isinstance(objective, partial):
        inner = declared(objective.func, taker)
        if objective.args:
            raise ValueError(f"a partial of {inner.__name__}: give hyper-parameters by keyword")
        bound: Any = partial(inner, **objective.keywords)
        bound.__name__, bound.__module__ = inner.__name__, inner.__module__
        bound.__doc__ = inspect.getdoc(inner)
        bound.unit, bound.needs = inner.unit, inner.needs
        return cast(Loss, bound)
    if not all(hasattr(objective, what) for what in ("unit", "needs", "__name__")):
        raise ValueError(
            f"{taker} takes an objective, got {objective!r}: declare a function one with "
            f"per_pair or per_trajectory"
        )
    return objective
