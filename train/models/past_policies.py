"""Policies of earlier steps: the anchors of mirror descent, and the policy of some steps ago."""

from collections import deque

from torch import Tensor

from train.models.copies import (
    check_models,
    copy_parameters,
    frozen_copy,
    load_parameters,
    parameters_of,
)
from train.models.language_model import LanguageModel


class LaggedPolicy:
    """The policy of exactly `lag` updates ago; until there have been so many, the reference.

    In memory are up to `lag` + 1 copies of what is trained: with an adapter, of the adapter.
    """

    def __init__(self, reference: LanguageModel, policy: LanguageModel, lag: int):
        self.reference, self.policy, self.lag = reference, policy, lag
        self._past = deque([reference])  # the oldest first, the newest the policy itself

    @property
    def origin(self) -> LanguageModel:
        return self._past[0]

    def advance(self) -> None:
        """Remember the policy after an update."""
        spare = self._past.popleft() if len(self._past) > self.lag else self.reference
        if spare is self.reference:
            self._past.append(frozen_copy(self.policy))
        else:
            copy_parameters(self.policy.model, spare.model)
            self._past.append(spare)

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return the policies as tensors, and how many there are as values."""
        own = {str(n): m for n, m in enumerate(self._past) if m is not self.reference}
        return parameters_of(own), {"count": len(self._past), "own": list(own)}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned.

        Raises ValueError for policies of other parameters, or another number of them.
        """
        if not 1 <= values["count"] <= self.lag + 1:
            raise ValueError(f"it has {values['count']} policies, not 1 to {self.lag + 1}")
        check_models(tensors, values["own"], [str(n) for n in range(values["count"])])
        self._past.clear()
        for number in range(values["count"]):
            model = self.reference
            if str(number) in values["own"]:
                model = frozen_copy(self.policy)
                load_parameters(model, str(number), tensors)
            self._past.append(model)


class Anchors:
    """The policies at which the last two outer steps of mirror descent began.

    Both are the reference until the first outer step ends. With a period of 0 they stay it: then
    the anchor is the policy that sampled the data. In memory are up to two copies of what is
    trained: with an adapter, of the adapter.
    """

    def __init__(self, reference: LanguageModel, policy: LanguageModel, period: int):
        self.reference, self.policy, self.period = reference, policy, period
        self.anchor = self.previous = reference

    def advance(self, step: int) -> None:
        """Begin a new outer step where `step`, the updates made so far, is a multiple of it."""
        if not self.period or not step or step % self.period:
            return
        spare = self.previous
        self.previous = self.anchor
        if spare is self.reference:
            self.anchor = frozen_copy(self.policy)
        else:
            self.anchor = spare
            copy_parameters(self.policy.model, self.anchor.model)

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return the anchors as tensors, and which of them are the reference as values."""
        named = {"anchor": self.anchor, "previous": self.previous}
        own = {name: model for name, model in named.items() if model is not self.reference}
        return parameters_of(own), {"own": list(own)}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned; raises ValueError for policies of others."""
        check_models(tensors, values["own"], ["anchor", "previous"])
        for name in ("anchor", "previous"):
            model = self.reference
            if name in values["own"]:
                model = frozen_copy(self.policy)
                load_parameters(model, name, tensors)
            setattr(self, name, model)
