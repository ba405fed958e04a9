"""From a spec and a base to the policies, the optimizer and the micro-batches of a run."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from diagnostics.parameters import trained_parameters
from objectives.errors import InputError
from train.config import Config
from train.config.groups import OptimisationConfig
from train.config.optimizers import SHARDED, optimizer_kind
from train.config.spec import ObjectiveSpec
from train.data.micro_batches import MicroBatcher, TokenBudget
from train.data.offline import BatchSource, OfflineData
from train.devices.sharding import is_sharded
from train.learning.past import past_plan
from train.learning.policies import Policies
from train.models.base import Base
from train.models.language_model import LanguageModel, compile_layers, recompute_layers
from train.models.offload import offload_activations
from train.models.past_policies import Anchors, LaggedPolicy
from train.models.reference_cache import cached_reference

FUTURE = {"future", "future_divergence"}  # fields of Batch that an extrapolation gives
CPU_TOKENS = 512  # more at a time are hardly faster there, and take memory


@dataclass(frozen=True)
class Built:
    policies: Policies
    tokens_frozen: int  # that the reference read for its states


def build_policies(
    spec: ObjectiveSpec,
    base: Base,
    data: BatchSource,
    config: Config,
    folder: Path,
    *,
    last: bool = False,
    watched: bool = False,
) -> Built:
    """Make the models that an objective asks for, and read the reference where its states are kept.

    folder: of the run. last: nobody needs the base after this run, which may train it itself.
    watched: probes look at the reference itself while the run trains.
    """
    needs, past = spec.objective.needs, past_plan(spec, data.online, config.online_updates)
    anchored, lag = past.anchored, past.lag
    placed = base.placed()
    cached = None
    if isinstance(data, OfflineData) and _may_be_cached(spec, config):
        cached = cached_reference(placed, data.tokenized, data.units.rows, config, folder)
    extrapolated = FUTURE & {*needs} and not lag and not _steps_ahead(spec)
    wanted = anchored or "reference" in needs or bool(extrapolated)
    # With its states on disk the reference itself is needed no more.
    needless = bool(cached) and not (anchored or lag or watched)
    policy = base.new_policy(config, placed, in_place=needless and last and placed is base.model)
    if config.gradient_checkpointing:
        recompute_layers(policy)
    if config.activation_offload:
        policy = offload_activations(policy)
    reference = placed if wanted and not needless else None
    if config.compile:
        for model in filter(None, (policy, reference)):
            compile_layers(model)
    policies = Policies(
        needs,
        policy,
        reference,
        Anchors(placed, policy, past.period) if anchored else None,
        LaggedPolicy(placed, policy, lag) if lag else None,
        past.on_policy,
        cached and cached[0],
        spec.future is not None and spec.future.kind == "ratio",
        spec.settings.get("divergence_kind", "kl"),
    )
    return Built(policies, cached[1] if cached else 0)


def _may_be_cached(spec: ObjectiveSpec, config: Config) -> bool:
    """Not for KTO, whose mismatched rows are new at every step."""
    needs = set(spec.objective.needs)
    if _steps_ahead(spec):
        needs -= {"future"}
    looks = {"reference", *FUTURE} & needs and not (spec.future and spec.future.lag)
    return bool(looks) and config.reference_cache != "off" and "divergence" not in needs


def _steps_ahead(spec: ObjectiveSpec) -> bool:
    return spec.future is not None and spec.future.steps_ahead is not None


def build_batcher(policy: LanguageModel, base: Base, config: Config) -> MicroBatcher:
    """Return what cuts a run's batches: as the settings say, or as memory allows."""
    tokens, automatic = config.tokens_per_microbatch, False
    if tokens is None and config.micro_batch_size is None:
        if policy.model.device.type == "cpu":
            tokens = CPU_TOKENS
        else:  # where weights are sharded, one that runs out of memory leaves others waiting
            automatic = not is_sharded(policy.model)
    return MicroBatcher(TokenBudget(tokens, automatic), config.micro_batch_size, base.width)


def build_optimizer(policy: LanguageModel, how: OptimisationConfig) -> torch.optim.Optimizer:
    """Return an optimizer over what is trained of a policy, by default AdamW (arXiv 1711.05101).

    Raises InputError where weights are sharded and it does not step on parts of them.
    """
    kind, sharded = optimizer_kind(how.optimizer), is_sharded(policy.model)
    if sharded and how.optimizer not in SHARDED:
        raise InputError(
            f"--optimizer {how.optimizer}: not with weights that processes share (FSDP2): take "
            f"{' or '.join(SHARDED)}"
        )
    options: dict[str, Any] = {"weight_decay": how.weight_decay} if kind.decays else {}
    if kind.name in ("Adam", "AdamW"):
        options["fused"] = True
    make = getattr(import_module(f"{kind.library}.optim"), kind.name)
    return make(trained_parameters(policy.model).values(), lr=how.learning_rate, **options)
