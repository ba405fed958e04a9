"""The policy of some steps ago, as the origin that the future policy is extrapolated from."""

from collections import deque

from torch import Tensor

from train.language_model import (
    LanguageModel,
    copy_parameters,
    frozen_copy,
    load_parameters,
    parameters_of,
)


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
        """Go on from what `state_dict` returned."""
        self._past.clear()
        for number in range(values["count"]):
            model = self.reference
            if str(number) in values["own"]:
                model = frozen_copy(self.policy)
                load_parameters(model, str(number), tensors)
            self._past.append(model)
