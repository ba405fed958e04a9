"""From which reference, and how far, a sampled model is extrapolated: its future policy."""

from dataclasses import dataclass

from objectives.errors import InputError
from train.config.engines import EngineConfig
from train.config.flags import flag


@dataclass(frozen=True)
class FuturePolicyConfig(EngineConfig):
    """What completions are sampled by, and whether from the model or from its future policy."""

    reference: str | None = flag(
        None, "sample from the model's future policy, extrapolated away from this one", "MODEL"
    )
    lam: float | None = flag(
        None, "λ of --reference: logits h + λ (h - h_ref); 0: the model, -1: the reference"
    )

    def future_record(self) -> dict[str, str | float]:
        """Return what a record of samples says of the future policy: nothing without one."""
        if self.reference is None or self.lam is None:
            return {}
        return {"reference": self.reference, "lam": self.lam}

    def check_future(self) -> None:
        """Raise InputError for half of what is needed, and for vLLM, which reads one model."""
        if (self.reference is None) != (self.lam is None):
            raise InputError("--reference and --lam go together: the future policy needs both")
        if self.reference is not None and self.engine == "vllm":
            raise InputError("--reference: not with --engine vllm, which reads one model's logits")
        if self.reference is not None and self.engine_memory is not None:
            raise InputError("--engine-memory: not with --reference, with which vLLM cannot sample")
