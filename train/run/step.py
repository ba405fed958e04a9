"""One optimizer step: what it trains on, its gradients, the update, its metrics and cost."""

import math
import time
from typing import NoReturn

import torch
from torch import nn

from diagnostics.parameters import trained_parameters
from objectives.errors import InputError
from train.config.groups import OptimisationConfig
from train.data.offline import BatchSource, OptimizerBatch
from train.devices import processes
from train.devices.sharding import own_part
from train.learning.gradients import Gradients, StepMetrics
from train.learning.look_ahead import LookAhead
from train.learning.optimizing import clipped_norm, update
from train.probes.auto_lam import AutoLam
from train.probes.window_lam import WindowLam
from train.run.cost import Cost
from train.store.folder import RunFolder


class Updater:
    """Takes a run's optimizer steps."""

    def __init__(
        self,
        gradients: Gradients,
        optimizer: torch.optim.Optimizer,
        data: BatchSource,
        cost: Cost,
        folder: RunFolder,
        how: OptimisationConfig,
        auto_lam: AutoLam | WindowLam | None = None,
        look_ahead: LookAhead | None = None,
    ):
        self.gradients, self.optimizer, self.data = gradients, optimizer, data
        self.cost, self.folder, self.how, self.auto_lam = cost, folder, how, auto_lam
        self.look_ahead = look_ahead
        self.policies = gradients.policies
        future = gradients.spec.future
        self.lam = future and future.first_lam  # of the future policy, None where there is none

    def update(self, step: int) -> dict[str, float]:
        """Take step `step` (from 1); return its line of metrics.

        Raises InputError where loss or gradient is not finite, before the update.
        """
        begun, sampled = time.monotonic(), self.cost.generation_seconds
        batch = self.data.draw(step, self.policies.policy)  # first: it may be left Undone
        if self.auto_lam is not None:
            self.lam = processes.agree(self.auto_lam.update(self.policies.policy, step - 1))
        metrics = self._gradients(batch, step)
        norm = clipped_norm(self._parameters, self.how)
        if not (math.isfinite(metrics.values["loss"]) and math.isfinite(norm)):
            self._stop_at_bad_batch(step, batch, metrics.values["loss"], norm)
        rate = update(self.optimizer, step, self.how)
        if self.policies.anchors is not None:
            self.policies.anchors.advance(step)
        if self.policies.lagged is not None:
            self.policies.lagged.advance()
        self._count(metrics)
        sampling = self.cost.generation_seconds - sampled
        self.cost.training_seconds += time.monotonic() - begun - sampling
        line = {
            "step": step,
            **metrics.values,
            **batch.metrics,
            "grad_norm": norm,
            "learning_rate": rate,
            "num_tokens": self.cost.tokens_trained,
            "num_tokens_generated": self.cost.tokens_generated,
            "flops": self.cost.flops,
            "divergence": metrics.divergence,
            "lam": self.lam,
            **({} if self.auto_lam is None else self.auto_lam.metrics),
        }
        return {name: value for name, value in line.items() if value is not None}

    def check_weights(self, step: int) -> None:
        """Raise InputError where weights are not finite after `step` updates.

        Before they are looked at or kept, not every step: it waits for the device.
        """
        parameters = trained_parameters(self.policies.policy.model).items()
        broken = [name for name, own in parameters if not own_part(own).isfinite().all()]
        if processes.any_of(bool(broken)):
            raise InputError(
                f"step {step} of {self.gradients.spec.name}: its update left weights that are not "
                f"finite{f', {broken[0]} first' if broken else ''}: stopped; what was written "
                f"before is kept; try a lower --learning-rate"
            )

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return list(trained_parameters(self.policies.policy.model).values())

    def _gradients(self, batch: OptimizerBatch, step: int) -> StepMetrics:
        """Add the batch's gradients; what is to be known of it is found before, and counted."""
        if self.look_ahead is None:
            return self.gradients.of(batch, self.lam)
        known = self.look_ahead.known(batch, step, self.lam)
        for ahead in known.trained:
            self.cost.tokens_ahead += ahead.tokens - ahead.shared_tokens
            self.cost.tokens_frozen += ahead.frozen_tokens
        # But for those that read for KTO's divergence, which is computed once.
        beside = self.policies.models_beside if self.lam is not None else 0
        self.cost.tokens_frozen += known.tokens_read * (1 + beside)
        return self.gradients.of(batch, self.lam, known.put_into, known.divergence)

    def _count(self, metrics: StepMetrics) -> None:
        cost = self.cost
        cost.tokens_trained += metrics.tokens
        cost.tokens_shared += metrics.shared_tokens
        cost.tokens_frozen += metrics.frozen_tokens
        cost.tokens_generated = self.data.tokens_generated
        cost.generation_seconds = self.data.generation_seconds

    def _stop_at_bad_batch(
        self, step: int, batch: OptimizerBatch, loss: float, norm: float
    ) -> NoReturn:
        rows = batch.units.flatten().tolist()
        file = self.folder.write_bad_batch(
            {"step": step, "loss": loss, "grad_norm": norm, "trajectories": rows}
        )
        raise InputError(
            f"step {step} of {self.gradients.spec.name}: loss {loss} with gradient norm {norm}: "
            f"stopped before the update; its {len(rows)} trajectories are in {file}, and what was "
            f"written before is kept; try a lower --learning-rate"
        )
