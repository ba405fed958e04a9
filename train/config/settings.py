"""Settings of a run that every objective shares; each field is a flag of `python -m train`."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from objectives import ADVANTAGES
from objectives.errors import InputError
from train.config.diagnosis import MEASURES, PAIRS, ProbePlan, diagnose_plan
from train.config.flags import flag, flag_name

ABOVE_ZERO = (
    "learning_rate",
    "max_grad_norm",
    "batch_size",
    "micro_batch_size",
    "tokens_per_microbatch",
    "max_tokens",
    "eval_limit",
    "eval_max_new_tokens",
    "eval_batch_size",
    "eval_temperature",
    "online_samples",
    "online_temperature",
    "online_max_new_tokens",
    "online_updates",
    "lora_rank",
    "lora_alpha",
)
ZERO_OR_MORE = (
    "steps",
    "warmup_steps",
    "weight_decay",
    "eval_every",
    "eval_samples",
    "checkpoint_every",
    "keep_checkpoints",
    "diagnose_every",
)


@dataclass(frozen=True)
class Config:
    """What a run trains, on what and how; validated when made."""

    model: str = flag("builtin", "builtin, smollm2, a folder, a .gguf file or a hub id")
    data: str = flag(
        "builtin",
        "builtin, a Parquet or JSON Lines file, or a hub id; with --online a file of problems",
    )
    out: str | None = flag(None, "run folder, by default runs/OBJECTIVE; of several, their parent")
    steps: int = flag(300, "optimizer steps")
    learning_rate: float = flag(1e-5, "AdamW's learning rate, at its highest")
    schedule: Literal["constant", "linear", "cosine"] = flag("constant", "after the warm-up")
    warmup_steps: int = flag(10, "steps of linear warm-up")
    weight_decay: float = flag(0.0, "AdamW's decoupled weight decay")
    max_grad_norm: float = flag(1.0, "gradients are clipped to this norm")
    batch_size: int = flag(64, "trajectories of an optimizer step; a pair is two")
    micro_batch_size: int | None = flag(
        None, "trajectories at a time, by default as many as --tokens-per-microbatch holds"
    )
    tokens_per_microbatch: int | None = flag(
        None,
        "tokens at a time, padding included, in micro-batches of like length; by default 512 on "
        "a CPU, on a GPU as many as its memory holds",
    )
    share_prefixes: Literal["auto", "off"] = flag(
        "auto",
        "compute once what trajectories of one prompt begin with; auto: where that saves "
        "operations and the model allows it",
    )
    compile: bool = flag(False, "compile the models' layers, at first use")
    gradient_checkpointing: bool = flag(
        False, "compute activations again in the backward pass, to save memory"
    )
    lora_rank: int | None = flag(
        None, "train a LoRA adapter of this rank on the frozen model; by default all its parameters"
    )
    lora_alpha: float | None = flag(
        None, "what the adapter adds is scaled by alpha / rank; by default twice the rank"
    )
    lora_targets: str | None = flag(
        None,
        "layers that get an adapter, names with commas between, as q_proj,v_proj; by default all "
        "linear layers but the head",
    )
    rows: Literal["auto", "paired", "all"] = flag(
        "auto",
        "what trajectory objectives train on: the trajectories of the pairs, so as to see what "
        "pair objectives see, or all; auto: paired where there are pairs",
    )
    advantage: Literal["auto", *ADVANTAGES] = flag(
        "auto", "what objectives see as reward; auto: the objective's own"
    )
    online: bool = False  # train on what the policy itself samples, step by step
    online_samples: int = flag(8, "completions of each problem; --batch-size is of all problems")
    online_temperature: float = flag(1.0, "temperature of the samples")
    online_max_new_tokens: int | None = flag(
        None, "length limit of a sample, by default as in evaluation"
    )
    online_updates: int = flag(1, "optimizer steps on the same samples")
    online_mixed: bool = flag(
        False,
        "sample on until the batch is full of problems with both correct and incorrect samples "
        "(DAPO's dynamic sampling)",
    )
    max_tokens: int | None = flag(
        None, "trajectories longer than this are left out; by default the model's context"
    )
    reference_cache: str = flag(
        "auto",
        "folder to keep the reference's hidden states in, so that it reads each trajectory once; "
        "off; or auto: beside the run, where it pays",
    )
    token_cache: str = flag(
        "auto",
        "folder to keep the token ids of a large data set in, so that it is tokenised once; off; "
        "or auto: in the cache of Hugging Face datasets",
    )
    seed: int = flag(0, "seed of the order of the data and of evaluation's samples")
    device: Literal["auto", "cpu", "cuda"] = flag("auto", "auto: cuda where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = flag(
        "auto",
        "of the forward pass; weights stay float32, but those that LoRA freezes; auto: bfloat16 on "
        "cuda, else float32",
    )
    eval_problems: str = flag(
        "auto", "builtin, a problem file, or none; auto: builtin with the built-in data"
    )
    eval_every: int = flag(50, "steps between evaluations; 0: before and after only")
    eval_limit: int = flag(500, "problems of an evaluation")
    eval_samples: int = flag(4, "samples per problem of avg@k; 0: greedy only")
    eval_temperature: float = flag(1.0, "temperature of the samples")
    eval_max_new_tokens: int | None = flag(
        None, "length limit of a completion in evaluation; by default 48 built-in, else 256"
    )
    eval_batch_size: int = flag(500, "completions generated at a time")
    checkpoint_every: int = flag(0, "steps between checkpoints; 0: at the end only")
    keep_checkpoints: int = flag(0, "newest checkpoints to keep; 0: all")
    diagnose_every: int = flag(0, "steps between looks at fixed probe pairs; 0: no diagnostics")
    diagnose: str | None = flag(
        None, f"what to measure there, with commas between: {', '.join(MEASURES)}; by default all"
    )
    horizons: str | None = flag(
        None,
        "steps ahead at which forecasts are scored, such as 10,20,40; by default 1, 2 and 4 "
        "times --diagnose-every",
    )
    diagnose_pairs: int | None = flag(None, f"probe pairs, by default {PAIRS}")

    def __post_init__(self):
        for name in ABOVE_ZERO:
            value = getattr(self, name)
            self._require(name, value is None or value > 0, "above 0")
        for name in ZERO_OR_MORE:
            self._require(name, getattr(self, name) >= 0, "0 or more")
        if self.micro_batch_size is not None and self.tokens_per_microbatch is not None:
            raise InputError(
                f"--tokens-per-microbatch {self.tokens_per_microbatch}: not with "
                f"--micro-batch-size {self.micro_batch_size}: give one, and none to the other"
            )
        for name in ("lora_alpha", "lora_targets"):
            if self.lora_rank is None and getattr(self, name) is not None:
                raise InputError(f"{flag_name(name)} is for --lora-rank, which is not given")
        self.diagnose_plan()
        self._check_online()

    def diagnose_plan(self) -> ProbePlan | None:
        """Return what to measure while training, None for nothing."""
        return diagnose_plan(self.diagnose_every, self.diagnose, self.horizons, self.diagnose_pairs)

    def with_online(self, online: bool) -> "Config":
        """Return the settings of an objective that trains online, or of one that does not."""
        if online == self.online:
            return self
        defaults = {e.name: e.default for e in fields(self) if e.name.startswith("online_")}
        return replace(self, online=online, **({} if online else defaults))

    def _check_online(self) -> None:
        if self.online and self.reference_cache not in ("auto", "off"):
            raise InputError(
                f"--reference-cache {self.reference_cache}: not with --online, where every "
                f"trajectory is new"
            )
        if not self.online:
            for entry in fields(self):
                if entry.name.startswith("online_") and getattr(self, entry.name) != entry.default:
                    raise InputError(f"{flag_name(entry.name)} is for --online, which is not given")
        elif self.batch_size % self.online_samples:
            raise InputError(
                f"--batch-size {self.batch_size}: must be a multiple of --online-samples "
                f"{self.online_samples}, completions of each problem"
            )

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"{flag_name(name)} {getattr(self, name)}: must be {expected}")
