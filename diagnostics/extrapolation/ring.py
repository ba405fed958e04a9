"""Remembers the policy at the probes until every forecast made there has been scored."""

from collections.abc import Sequence

from torch import Tensor

from diagnostics.extrapolation.score import LAMS, ProbeTokens, Score, reference_name, score_forecast
from diagnostics.extrapolation.snapshot import Snapshot
from objectives import Head

PARTS = ("hidden", "weight", "bias")  # of a snapshot, by the names of `Snapshot.tensors`


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
        # What was read from a file is on the CPU.
        device = snapshot.hidden.device
        self._snapshots = {s: x.to(device) for s, x in self._snapshots.items()}
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

    def load_state_dict(
        self, tensors: dict[str, Tensor], values: dict, shape: tuple[int, int] | None = None
    ) -> None:
        """Go on where the ring stood whose `state_dict` this is.

        shape: (N, V) of the snapshots to come, where that is known.
        Raises ValueError where that ring was asked for other horizons, lags, λ or steps, and where
        its snapshots are not whole or of another shape.
        """
        settings = self._settings()
        differing = [name for name in settings if settings[name] != values[name]]
        if differing:
            described = ", ".join(f"{n} {values[n]}, not {settings[n]}" for n in differing)
            raise ValueError(f"the stored probes were made with {described}")
        # Copied: a file's tensors lie in memory as they come, and a matrix product's last bits
        # depend on where its operands begin.
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        snapshots = {}
        for step, how in values["heads"].items():
            own = {name: tensors.pop(f"{step}.{name}", None) for name in PARTS}
            snapshots[int(step)] = _restored(step, how, own, shape)
        if tensors:
            raise ValueError(f"it has {min(tensors)}, for which there is no place")
        last = values["last"]
        if type(last) is not (int if snapshots else type(None)) or last != max(
            snapshots, default=None
        ):
            raise ValueError(f"its last snapshot is not that of step {last}")
        self._last, self._snapshots = last, snapshots

    def _settings(self) -> dict:
        named = {"horizons": self.horizons, "lags": self.lags, "lams": self.lams}
        return {"every": self.every, **{name: list(value) for name, value in named.items()}}


def _restored(
    step: str, how: list | None, parts: dict[str, Tensor | None], shape: tuple[int, int] | None
) -> Snapshot:
    """Return a snapshot from its tensors; how: scale and softcap of its head, None without one."""
    hidden, weight, bias = (parts[name] for name in PARTS)
    needed = {"hidden": hidden} | ({} if how is None else {"weight": weight})
    for name, tensor in needed.items():
        if tensor is None or tensor.dim() != 2 or not tensor.is_floating_point():
            raise ValueError(f"its snapshot of step {step} has no matrix {name}")
    assert hidden is not None  # it was just checked
    head = None
    if how is not None:
        assert weight is not None
        head = Head(weight, bias, *how)
        fits = hidden.shape[1] == weight.shape[1] and (
            bias is None or bias.shape == weight.shape[:1]
        )
        if not fits:
            raise ValueError(f"hidden states and head of its snapshot of step {step} do not fit")
    snapshot = Snapshot(hidden, head)
    if shape is not None and snapshot.shape != shape:
        raise ValueError(f"its snapshot of step {step} is {snapshot.shape}, not {shape}")
    return snapshot
