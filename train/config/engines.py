"""By what completions are sampled and graded, for every command that samples."""

from dataclasses import dataclass
from typing import Literal

from objectives.errors import InputError
from train.config.flags import flag


@dataclass(frozen=True)
class EngineConfig:
    """What completions are sampled and graded by."""

    engine: Literal["auto", "transformers", "vllm"] = flag(
        "auto",
        "transformers: the model in this process; vllm: vLLM, where it is installed; auto: vllm on "
        "a GPU, but not beside training",
    )
    engine_memory: float | None = flag(
        None,
        "share of the device's memory that vLLM may take, by default 0.9, beside training 0.3",
        "SHARE",
        above=0,
        changes="nothing",
    )

    reward: str | None = flag(
        None,
        "grades completions: your own f(prompt, completion, row), named my_package.module:function "
        "or my_file.py:function, which returns a float; by default they are right or wrong",
        "PLACE:FUNCTION",
    )

    def engine_record(self) -> dict[str, str]:
        """Return what a record of samples says of it: nothing where it was left to us."""
        return {} if self.engine == "auto" else {"engine": self.engine}

    def check_engine(self) -> None:
        """Raise InputError for a memory that there cannot be, or that nobody takes."""
        if self.engine_memory is None:
            return
        if self.engine_memory > 1:
            raise InputError(f"--engine-memory {self.engine_memory}: a share is at most 1")
        if self.engine == "transformers":
            raise InputError(f"--engine-memory {self.engine_memory}: it is for --engine vllm")
