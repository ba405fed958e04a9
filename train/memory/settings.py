"""What decides about the memory of a training, in settings."""

from dataclasses import dataclass
from typing import Literal

from train.config.flags import check, flag
from train.config.offload import require_checkpointing
from train.config.optimizers import optimizer_kind
from train.config.quantisation import Quantisation, require_adapter
from train.config.settings import Config


@dataclass(frozen=True)
class Settings:
    """Of `python -m train`, what decides about memory; and how many devices."""

    model: str = flag(Config.model, "as of python -m train; its weights are not read", "MODEL")
    devices: int = flag(
        1,
        "the devices of the first table; several share all weights (FSDP2), unless they are "
        "quantised",
        above=0,
    )
    max_tokens: int | None = flag(
        None, "tokens of a trajectory, by default the model's context", "TOKENS", above=0
    )
    tokens_per_microbatch: int = flag(
        8192, "tokens of one device at a time, padding included", "TOKENS", above=0
    )
    gradient_checkpointing: bool = flag(False, "activations are computed again")
    activation_offload: bool = flag(False, "with that: the layers' inputs are on the host")
    dtype: Literal["float32", "bfloat16"] = flag("bfloat16", "of the passes")
    reference_cache: Literal["off", "on"] = flag(
        "off",
        "on: the reference's states are on disk and its head alone in memory, as in the last run "
        "of a command that reads its data twice",
    )
    lora_rank: int | None = flag(
        None, "of an adapter that is trained in place of the weights", above=0
    )
    quantise: Quantisation | None = flag(None, "the weights under the adapter, in so many bits")
    optimizer: str = flag(Config.optimizer, "as of python -m train", "NAME")
    eval_batch_size: int = flag(0, "completions at a time in evaluation; 0: none", least=0)

    def __post_init__(self):
        check(self)
        optimizer_kind(self.optimizer)
        require_checkpointing(self.activation_offload, self.gradient_checkpointing)
        require_adapter(self.quantise, self.lora_rank)
