"""The registry: objectives by name, those of others beside ours."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any, cast

from objectives.catalogue import ENTRY_POINTS, FUTURE, GUARD, unknown
from objectives.contract import Loss
from objectives.entry import AtReference, Objective, settings_of
from objectives.errors import InputError
from objectives.future import SOURCE, FutureLoss
from objectives.guard import SOURCE as GUARD_SOURCE
from objectives.guard import GuardedLoss
from objectives.own_code import is_own, load_function, load_module, source_digest, split_name
from objectives.own_objective import coefficients_change, own_objective
from objectives.transform import prefixed, unprefixed


class Registry(Mapping[str, Objective]):
    """Objectives by name; more are registered, or found as `module:function`.

    It counts and iterates over objectives and their future-policy forms. Each of these has a form
    with the likelihood guard besides, `guarded_NAME`, which is made when it is asked for, as is
    that one's own future-policy form, `fpa_guarded_NAME`.
    """

    def __init__(self, entries: Iterable[Objective]):
        """entries: of this project, each with its form, which gets an entry too."""
        own = list(entries)
        every = own + [form for entry in own if (form := form_of(entry))]
        self._entries = {e.name: e for e in sorted(every, key=lambda e: e.name != "fpa")}
        self._ours = frozenset(self._entries)

    def __getitem__(self, name: str) -> Objective:
        entry = self._entries.get(name) or self._guarded(name)
        if entry is None:
            raise KeyError(name)
        return entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def register(
        self,
        objective: Any = None,
        *,
        name: str | None = None,
        source: str = "",
        at_reference: AtReference | None = None,
        advantage: str = "plus_minus_one",
        only_correct: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> Any:
        """Register an objective, and its future-policy form `fpa_NAME` where it has one.

            @OBJECTIVES.register            # or, with more to say, @OBJECTIVES.register(...)
            @per_trajectory("reward")
            def mine(policy, batch, *, power: float = 2.0): ...

        objective: declared with per_pair or per_trajectory, a form of `future_policy`, a
        functools.partial of one of these, or an Objective, which says itself what follows.
        name: by default the function's. The others are as Objective has them.
        Returns the objective as it was given. It is tried on a small batch. Raises InputError for a
        name that is taken, and for what is no objective or fails, with the remedy.
        """
        if objective is None:
            return lambda given: self.register(
                given, name=name, source=source, at_reference=at_reference, advantage=advantage,
                only_correct=only_correct, settings=settings,
            )  # fmt: skip
        called = name or getattr(objective, "name", None) or getattr(objective, "__name__", "")
        if not str(called).isidentifier():
            raise InputError(f"{called or objective!r}: give a name of letters, digits and _")
        about = (
            objective
            if isinstance(objective, Objective)
            else Objective(objective, source, at_reference, advantage, only_correct, settings or {})
        )
        self._take(called, about, source_digest(objective), allow_loaded=False)
        return objective

    def unregister(self, name: str) -> None:
        """Forget a registered objective and its form, as before its cell is run again.

        Raises InputError for one of this project, and for a name that is none.
        """
        if name not in self._entries or name in self._ours:
            raise InputError(f"{name}: not registered by anyone but this project")
        for called in (name, prefixed(FUTURE, name)):
            self._entries.pop(called, None)

    def find(self, name: str) -> Objective:
        """Return an objective by its name, importing the code that `module:function` names.

        Raises InputError for a name that is none, with the near ones, and for code that cannot be
        imported or is no objective.
        """
        if is_own(name):
            return self._of_own_code(name)
        if name not in self:
            self._from_packages(name)
        if name not in self:
            raise unknown(name, self._entries)
        return self[name]

    def _guarded(self, name: str) -> Objective | None:
        """Return what guarded_NAME or fpa_guarded_NAME stands for, None where it is neither."""
        guarded_name = unprefixed(FUTURE, name) or name
        inner = unprefixed(GUARD, guarded_name)
        about = self._entries.get(inner) if inner else None
        if about is None:
            return None
        loss = GuardedLoss(about.loss, name=guarded_name)
        entry = replace(about, loss=loss, source=GUARD_SOURCE, future=None)
        if guarded_name == name:
            return entry
        if entry.base is not None:  # the form of a form is itself
            return None
        return form_of(replace(entry, future=FutureLoss(loss, name=name)))

    def _of_own_code(self, name: str) -> Objective:
        place, function = split_name(name)
        module = load_module(name)
        base = bare(function)
        if not hasattr(module, function) and base != function and hasattr(module, base):
            own = f"{place}:{base}"
            self.find(own)
            if name not in self:
                raise InputError(
                    f"{name}: the coefficients of {own}'s gradient do not depend on the policy, so "
                    f"that its future-policy form would be itself: train {own}"
                )
            return self[name]
        value, _, digest = load_function(name)
        known = self._entries.get(name)
        if known is None or known.digest != digest:
            plain = Objective(cast(Loss, value), "")
            about = value if isinstance(value, Objective) else self._registered(value) or plain
            self._take(name, about, digest, allow_loaded=True)
        return self._entries[name]

    def _registered(self, value: Any) -> Objective | None:
        """Return what was said of a function where its module registers it itself."""
        own = (e for e in self._entries.values() if getattr(e.loss, "__wrapped__", None) is value)
        return next(own, None)

    def _take(self, name: str, about: Objective, digest: str | None, allow_loaded: bool) -> None:
        entry = replace(own_objective(name, about), digest=digest)
        if entry.base is None and coefficients_change(entry):
            entry = replace(entry, future=FutureLoss(entry.loss, name=prefixed(FUTURE, name)))
        form = form_of(entry)
        for own in filter(None, (entry, form)):
            if own.name in self._entries and not (allow_loaded and is_own(own.name)):
                raise InputError(
                    f"{own.name}: this name is taken: give another, register(..., name=...), or "
                    f"let go of it with OBJECTIVES.unregister({name!r})"
                )
        self._entries |= {own.name: own for own in (entry, form) if own is not None}

    def _from_packages(self, name: str) -> None:
        """Register an objective that an installed package names in its entry points."""
        for point in entry_points(group=ENTRY_POINTS):
            if point.name in (name, bare(name)):
                value, _, _ = load_function(point.value)
                if point.name not in self._entries:  # its module may have registered it
                    self.register(value, name=point.name)


def bare(name: str) -> str:
    """Return the name of an objective of a package or file, without those of its forms."""
    inner = unprefixed(FUTURE, name) or name
    inner = unprefixed(GUARD, inner) or inner
    return unprefixed(FUTURE, inner) or inner


def form_of(base: Objective) -> Objective | None:
    """Return the entry of an objective's future-policy form, where it has one."""
    if base.future is None:
        return None
    settings = {**settings_of(base.future), **base.settings}
    return Objective(
        base.future, SOURCE, base.at_reference, base.advantage, base.only_correct, settings,
        digest=base.digest,
    )  # fmt: skip
