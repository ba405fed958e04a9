"""A step's gradients, micro-batch by micro-batch, as many tokens at a time as memory holds."""

import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from diagnostics.log_probs import ROWS, log_prob_metrics, log_prob_totals
from objectives import Batch, reference_point
from objectives.errors import InputError
from train.config.spec import ObjectiveSpec
from train.data.micro_batches import MicroBatch, MicroBatcher
from train.data.offline import OptimizerBatch
from train.devices import processes
from train.devices.sharding import is_sharded
from train.learning.divergence import mismatched_ratios
from train.learning.policies import Policies
from train.models.in_place import adding_embedding_rows

T = TypeVar("T")
APART = "future_divergence"  # mean over completion tokens, where the objective reads it


class StepMetrics(NamedTuple):
    tokens: int  # of prompts and completions, without padding
    shared_tokens: int  # those of them that were computed with another trajectory's
    frozen_tokens: int  # those that a model without gradients read, once for each such model
    values: dict[str, float]
    divergence: float | None = None  # KTO's z0


class Gradients:
    """Adds an objective's gradients on optimizer batches to its policy's."""

    def __init__(self, spec: ObjectiveSpec, policies: Policies, batcher: MicroBatcher):
        self.spec, self.policies, self.batcher = spec, policies, batcher
        self.sharded = is_sharded(policies.policy.model)

    def of(
        self,
        batch: OptimizerBatch,
        lam: float | None,
        known: Callable[[MicroBatch], MicroBatch] = lambda micro: micro,
        divergence: Tensor | None = None,
    ) -> StepMetrics:
        """Add the gradients of an optimizer batch's mean loss; return the step's metrics.

        lam: λ of the future policy. known: puts what is known of a micro-batch into it.
        divergence: KTO's z0, where it was computed already. Where memory runs out and the size of
        micro-batches is ours to choose, it begins again with half.
        """
        divergence = self.divergence(batch) if divergence is None else divergence
        totals = self.fitting(
            batch,
            lambda: self.add(
                map(known, self.batcher.micro_batches(batch, divergence)), batch.count, lam
            ),
        )
        if not self.sharded:
            for parameter in self.policies.policy.model.parameters():
                if parameter.grad is not None:
                    processes.add_up(parameter.grad)
        metrics = step_metrics(totals, self.policies.frozen_models)
        return metrics._replace(divergence=None if divergence is None else divergence.item())

    def add(self, micros: Iterable[MicroBatch], count: int, lam: float | None) -> dict[str, Tensor]:
        """Add the gradients of the mean loss over the `count` units of all micro-batches.

        Returns the sums that `step_metrics` makes metrics of. The loss of each micro-batch is
        divided by the count of the whole optimizer batch, so that its division into micro-batches
        and among processes changes nothing.
        """
        with adding_embedding_rows(self.policies.policy.model):
            return self._add(micros, count, lam)

    def _add(
        self, micros: Iterable[MicroBatch], count: int, lam: float | None
    ) -> dict[str, Tensor]:
        hyper = self.spec.hyper
        totals: dict[str, Tensor] = {}
        for micro in micros:
            policy, batch, entropy = self.policies.evaluate(micro, lam, in_place=not self.sharded)
            loss = self.spec.objective(policy, batch, **hyper).sum() / count
            slope = loss
            if micro.coefficients is not None:
                slope = -(micro.coefficients * policy)[batch.mask].sum() / count
            (slope if micro.counted else 0 * slope).backward()
            values = log_prob_totals(policy, batch, hyper.get("beta"))
            values |= {"loss": loss.detach(), "entropy": entropy}
            if batch.future_divergence is not None:
                values[APART] = batch.future_divergence.detach().sum()
            values["completion_tokens"] = batch.mask.sum()
            values["tokens"] = micro.rows.tokens
            values["computed"] = micro.rows.attention_mask.sum()
            values["places"] = torch.tensor(micro.rows.input_ids.numel())
            device = policy.device
            moved = {name: x.to(device, non_blocking=True) for name, x in values.items()}
            _add(totals, moved, micro.counted)
        return totals

    @torch.no_grad()
    def log_probs(self, batch: OptimizerBatch) -> dict[str, float]:
        """Return the number of a batch's chosen and rejected rows, and their mean log-probs."""

        def work() -> dict[str, Tensor]:
            totals: dict[str, Tensor] = {}
            for micro in self.batcher.micro_batches(batch):
                rows, policy = micro.rows.to(self.policies.device), self.policies.policy
                known = micro.batch.map(lambda x: x.to(self.policies.device), Batch._fields)
                _add(totals, log_prob_totals(policy.log_probs(rows), known), micro.counted)
            return totals

        named = _over_processes(self.fitting(batch, work))
        counts = {name: total for name, total in named.items() if name.startswith(f"{ROWS}/")}
        return {**counts, **log_prob_metrics(named)}

    def divergence(self, batch: OptimizerBatch) -> Tensor | None:
        """Return KTO's z0 over an optimizer batch; None for objectives that need none."""
        if "divergence" not in self.policies.needs:
            return None
        ratios = self.fitting(
            batch,
            lambda: mismatched_ratios(
                self.policies.policy,
                self.policies.require_reference(),
                batch.data,
                batch.units.flatten(),
                self.batcher.rows_that_fit(batch),
                processes.even_share,
            ),
        )
        return reference_point(processes.add_up(ratios))

    def fitting(self, batch: OptimizerBatch, work: Callable[[], T]) -> T:
        """Return what work on a batch gives, begun again in smaller pieces where memory ends."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                try:
                    self.batcher.halve(batch)
                except InputError as error:
                    if not processes.is_main():  # whose own complaints are not printed
                        print(f"process {processes.rank()}: {error}", file=sys.stderr)
                    raise
            # Out of the handler, which holds on to the tensors of what failed.
            self.policies.policy.model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            tokens = self.batcher.budget.tokens
            tqdm.write(f"out of memory: going on with {tokens} tokens at a time")


def step_metrics(totals: dict[str, Tensor], frozen_models: int) -> StepMetrics:
    """Return a step's metrics from the sums over its micro-batches in all processes."""
    named = _over_processes(totals)
    loss, tokens, computed = (named.pop(name) for name in ("loss", "tokens", "computed"))
    means = {n: named.pop(n) for n in ("entropy", APART) if n in named}
    count = named.pop("completion_tokens")
    padding = 1 - computed / named.pop("places")
    means = {name: total / count for name, total in means.items()}
    values = {"loss": loss, **means, "padding": padding, **log_prob_metrics(named)}
    return StepMetrics(int(tokens), int(tokens - computed), int(computed) * frozen_models, values)


def _add(totals: dict[str, Tensor], values: dict[str, Tensor], counted: bool) -> None:
    for name, value in values.items():
        totals[name] = totals.get(name, 0.0) + (value if counted else torch.zeros_like(value))


def _over_processes(totals: dict[str, Tensor]) -> dict[str, float]:
    sums = torch.stack([total.double() for total in totals.values()])
    return dict(zip(totals, processes.add_up(sums).tolist(), strict=True))
