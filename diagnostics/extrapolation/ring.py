"""Remembers the policy at the probes until every forecast made there has been scored."""

from collections.abc import Sequence

from torch import Tensor

from diagnostics.extrapolation.score import LAMS, ProbeTokens, Score, reference_name, score_forecast
from diagnostics.extrapolation.snapshot import Snapshot
from objectives import Head


class ProbeRing:
    """Scores forecasts of several horizons, from several references, as training goes on.

    Between pushes it holds `(longest horizon + longest lag) / every` snapshots, and the initial
    one where that is a reference; one more during a push. The size of a snapshot is its `nbytes`.
    """

    def __init__(
        self,
        every: int,
        horizons: Sequence[int],
        *,
        lags: Sequence[int | None] = (None,),
        lams: Sequence[float] = LAMS,
        tokens: ProbeTokens | None = None,
    ):
        """every: steps between pushes; horizons: in steps; lams: λ to try beside 0 and λ*.

        lags: what forecasts extrapolate from, each on its own: None for the initial policy, D for
        that of D steps before, or the initial one in the first D steps.
        tokens: the sampled tokens at the probes, for the weight error.
        Raises ValueError unless horizons and lags are multiples of `every`, 1 or more.
        """
        steps = [*horizons, *[lag for lag in lags if lag is not None]]
        if every < 1 or not horizons or not lags or any(k < 1 or k % every for k in steps):
            raise ValueError(
                f"horizons and lags must be multiples of every, 1 or more: got every {every}, "
                f"horizons {list(horizons)}, lags {list(lags)}"
            )
        self.every, self.horizons, self.lags = every, tuple(horizons), tuple(lags)
        self.lams, self.tokens = tuple(lams), tokens
        self._reach = max(horizons) + max(lag or 0 for lag in lags)
        self._last: int | None = None
        self._snapshots: dict[int, Snapshot] = {}

    @property
    def steps(self) -> list[int]:
        """The steps whose snapshots it holds."""
        return list(self._snapshots)

    @property
    def nbytes(self) -> int:
        """Bytes of the snapshots that it holds."""
        return sum(snapshot.nbytes for snapshot in self._snapshots.values())

    def push(self, step: int, snapshot: Snapshot) -> list[Score]:
        """Remember the policy at `step` and return the scores of the forecasts that end there.

        step: 0, the initial policy, at first, and then every `every`-th.
        snapshot: not copied, so it must not share memory with what is trained: see take_snapshot.
        Raises ValueError for another step, or a snapshot of another shape than those before.
        """
        expected = 0 if self._last is None else self._last + self.every
        if step != expected:
            raise ValueError(f"the next snapshot must be of step {expected}, got step {step}")
        for other in self._snapshots.values():
            if other.shape != snapshot.shape:
                raise ValueError(f"snapshots must be {other.shape}, got {snapshot.shape}")
        self._snapshots[step], self._last = snapshot, step
        scores = [
            self._score(step - horizon, horizon, lag)
            for lag in self.lags
            for horizon in self.horizons
            if step > horizon  # at step 0 there is nothing to extrapolate from
        ]
        kept = {0} if None in self.lags else set()
        self._snapshots = {
            s: x for s, x in self._snapshots.items() if s in kept or s > step - self._reach
        }
        return scores

    def _score(self, step: int, horizon: int, lag: int | None) -> Score:
        start = 0 if lag is None else max(0, step - lag)
        return score_forecast(
            *(self._snapshots[s] for s in (start, step, step + horizon)),
            step=step,
            horizon=horizon,
            reference=reference_name(lag),
            lams=self.lams,
            tokens=self.tokens,
        )

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return the snapshots as tensors (for safetensors) and the rest as values (for JSON)."""
        tensors, heads = {}, {}
        for step, snapshot in self._snapshots.items():
            tensors |= {f"{step}.{name}": x for name, x in snapshot.tensors().items()}
            head = snapshot.head
            heads[str(step)] = None if head is None else [head.scale, head.softcap]
        return tensors, {**self._settings(), "last": self._last, "heads": heads}

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on where the ring stood whose `state_dict` this is.

        Raises ValueError where that ring was asked for other horizons, lags, λ or steps.
        """
        settings = self._settings()
        differing = [name for name in settings if settings[name] != values[name]]
        if differing:
            described = ", ".join(f"{n} {values[n]}, not {settings[n]}" for n in differing)
            raise ValueError(f"the stored probes were made with {described}")
        # Copied: a file's tensors lie in memory as they come, and a matrix product's last bits
        # depend on where its operands begin.
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        self._last = values["last"]
        self._snapshots = {}
        for step, head in values["heads"].items():
            if head is not None:
                weight, bias = tensors[f"{step}.weight"], tensors.get(f"{step}.bias")
                head = Head(weight, bias, *head)
            self._snapshots[int(step)] = Snapshot(tensors[f"{step}.hidden"], head)

    def _settings(self) -> dict:
        named = {"horizons": self.horizons, "lags": self.lags, "lams": self.lams}
        return {"every": self.every, **{name: list(value) for name, value in named.items()}}
