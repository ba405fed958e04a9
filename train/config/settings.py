"""Settings of a run that every objective shares; each field is a flag of `python -m train`."""

from dataclasses import dataclass, fields, replace
from typing import Any

from objectives.errors import InputError
from objectives.spelling import did_you_mean
from train.config.diagnosis import ProbePlan, diagnose_plan
from train.config.engines import EngineConfig
from train.config.flags import check, flag_name, unchanging
from train.config.groups import (
    ComputeConfig,
    DataConfig,
    DiagnosticsConfig,
    EvaluationConfig,
    FolderConfig,
    HeldOutConfig,
    ModelConfig,
    OnlineConfig,
    OptimisationConfig,
)
from train.config.offload import require_checkpointing
from train.config.optimizers import check_optimizer
from train.config.quantisation import check_quantisation
from train.config.reporting import ReportingConfig
from train.config.schedule import read_options
from train.config.trackers import read_trackers

# The order in which run folders have their settings, from before there were groups: labels of
# eval.compare name settings in it. What is not here comes after.
RECORDED = (
    "model", "data", "out", "steps", "learning_rate", "schedule", "schedule_options",
    "warmup_steps", "weight_decay", "max_grad_norm", "batch_size", "micro_batch_size",
    "tokens_per_microbatch", "share_prefixes", "compile", "gradient_checkpointing", "lora_rank",
    "lora_alpha", "lora_targets", "rows", "advantage", "online", "online_samples",
    "online_temperature", "online_max_new_tokens", "online_updates", "online_mixed", "max_tokens",
    "reference_cache", "token_cache", "seed", "device", "dtype", "eval_problems", "eval_every",
    "eval_limit", "eval_samples", "eval_temperature", "eval_max_new_tokens", "eval_batch_size",
    "checkpoint_every", "keep_checkpoints", "diagnose_every", "diagnose", "horizons",
    "diagnose_pairs", "data_config", "data_split",
)  # fmt: skip


REWARD_OFFLINE = ": python -m train.rollouts --reward writes rewards into the data"


@dataclass(frozen=True)
class Config(
    ReportingConfig,
    FolderConfig,
    DiagnosticsConfig,
    HeldOutConfig,
    EvaluationConfig,
    EngineConfig,
    ComputeConfig,
    OptimisationConfig,
    OnlineConfig,
    DataConfig,
    ModelConfig,
):
    """What a run trains, on what and how; validated when made.

    Raises InputError for a name that is no setting, with the near ones, and for values that cannot
    be.
    """

    def __new__(cls, *_: Any, **given: Any):
        known = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in known:
                near = did_you_mean(name, known)
                raise InputError(f"{name} is not a setting of Config{near}")
        return super().__new__(cls)

    def __post_init__(self):
        check(self)
        if self.micro_batch_size is not None and self.tokens_per_microbatch is not None:
            raise InputError(
                f"--tokens-per-microbatch {self.tokens_per_microbatch}: not with "
                f"--micro-batch-size {self.micro_batch_size}: give one, and none to the other"
            )
        for name in ("lora_alpha", "lora_targets"):
            if self.lora_rank is None and getattr(self, name) is not None:
                raise InputError(f"{flag_name(name)} is for --lora-rank, which is not given")
        require_checkpointing(self.activation_offload, self.gradient_checkpointing)
        check_quantisation(self.quantise, self.lora_rank)
        check_optimizer(self.optimizer, self.weight_decay)
        read_options(self.schedule, self.schedule_options)
        read_trackers(self.report_to)
        self._check_held_out()
        self.check_engine()
        self.diagnose_plan()
        self._check_online()

    def record(self) -> dict[str, Any]:
        """Return the settings by name, in the order in which run folders have them."""
        return {name: getattr(self, name) for name in (*RECORDED, *vars(self))}

    def diagnose_plan(self) -> ProbePlan | None:
        """Return what to measure while training, None for nothing."""
        return diagnose_plan(self.diagnose_every, self.diagnose, self.horizons, self.diagnose_pairs)

    def with_online(self, online: bool) -> "Config":
        """Return the settings of an objective that trains online, or of one that does not."""
        if online == self.online:
            return self
        defaults = {e.name: e.default for e in fields(self) if of_online(e.name)}
        return replace(self, online=online, **({} if online else defaults))

    def _check_held_out(self) -> None:
        if self.eval_fraction is None:
            return
        if self.eval_data is not None:
            raise InputError(
                f"--eval-fraction {self.eval_fraction:g}: not with --eval-data, which is held out "
                f"already: give one"
            )
        if self.eval_fraction >= 1:
            raise InputError(f"--eval-fraction {self.eval_fraction:g}: must be below 1")

    def _check_online(self) -> None:
        for name in ("epochs", "eval_fraction") if self.online else ():
            if getattr(self, name) is not None:
                raise InputError(
                    f"{flag_name(name)} {getattr(self, name):g}: not with --online, where there is "
                    f"no data set to go through"
                )
        if self.online and self.reference_cache not in ("auto", "off"):
            raise InputError(
                f"--reference-cache {self.reference_cache}: not with --online, where every "
                f"trajectory is new"
            )
        if not self.online:
            for entry in fields(self):
                if of_online(entry.name) and getattr(self, entry.name) != entry.default:
                    remedy = REWARD_OFFLINE if entry.name == "reward" else ""
                    raise InputError(
                        f"{flag_name(entry.name)} is for --online, which is not given{remedy}"
                    )
        elif self.batch_size % self.online_samples:
            raise InputError(
                f"--batch-size {self.batch_size}: must be a multiple of --online-samples "
                f"{self.online_samples}, completions of each problem"
            )


def of_online(name: str) -> bool:
    """Say whether a setting is one of sampling from the policy, with --online alone."""
    return name.startswith("online_") or name == "reward"


UNTRAINED = unchanging(Config, "training")  # settings that leave what is trained as it is
