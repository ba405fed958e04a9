"""Futures that no extrapolation gives: of real steps ahead, and the controls beside FPA's.

Of an optimizer batch they are known before its gradients are taken: the log-probs of each row under
the policy that real steps lead to (`oracle:K`, `lookahead:K`); FPA's own, with the ratio to the
policy's that another row has (`shuffled`); or FPA's weights, alike for all rows of a side
(`constant`). A forecast must lose by the controls, and gain by the oracle; a brake need not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from diagnostics.parameters import trained_parameters
from objectives.batch import Batch
from objectives.errors import InputError
from objectives.future import at_policy
from train.config import Config
from train.config.future import WINDOW, FutureSettings
from train.config.groups import OptimisationConfig
from train.config.spec import ObjectiveSpec
from train.data.micro_batches import MicroBatch
from train.data.offline import BatchSource, OptimizerBatch
from train.devices import processes
from train.learning.gradients import Gradients, StepMetrics
from train.learning.optimizing import take_step

Rows = dict[tuple[int, ...], list[Tensor]]
"""By a unit, the rows of the data that it is made of: a value for each token of each row."""


@dataclass
class Known:
    """What is known of a batch before its gradients are taken."""

    future: Rows | None = None  # log-probs under the future policy
    coefficients: Rows | None = None  # in the place of those that the objective gives
    divergence: Tensor | None = None  # KTO's z0
    trained: list[StepMetrics] = field(default_factory=list)  # of the steps ahead
    tokens_read: int = 0  # forward alone, of each model that read them

    def put_into(self, micro: MicroBatch) -> MicroBatch:
        """Return a micro-batch of this batch with what is known of its rows."""
        batch = micro.batch
        if self.future is not None:
            batch = batch._replace(future=_padded(self.future, micro))
        micro = micro._replace(batch=batch)
        if self.coefficients is None:
            return micro
        return micro._replace(coefficients=_padded(self.coefficients, micro))


class LookAhead:
    """Finds what is known of each optimizer batch, as `--future-from` says."""

    def __init__(
        self,
        how: FutureSettings,
        gradients: Gradients,
        optimizer: torch.optim.Optimizer,
        data: BatchSource,
        config: OptimisationConfig,
    ):
        """gradients: of the objective that looks ahead; steps ahead are those of its base."""
        self.how, self.gradients, self.optimizer = how, gradients, optimizer
        self.data, self.config = data, config
        self.base = Gradients(base_spec(gradients.spec), gradients.policies, gradients.batcher)

    def known(self, batch: OptimizerBatch, step: int, lam: float | None) -> Known:
        """Return what is known of the batch of step `step` (from 1).

        The policy, the optimizer and their gradients are, to the bit, what they were before.
        """
        if self.how.steps_ahead is not None:
            return self._after_steps(batch, step, self.how.steps_ahead)
        divergence = self.gradients.divergence(batch)
        seen = list(self._seen(batch, lam, divergence))
        tokens = sum(int(micro.rows.tokens) for micro, *_ in seen)
        if self.how.kind == "shuffled":
            generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
            return Known(_shuffled(seen, generator), divergence=divergence, tokens_read=tokens)
        return Known(None, self._constant(seen), divergence, tokens_read=tokens)

    def _after_steps(self, batch: OptimizerBatch, step: int, count: int) -> Known:
        policy, known = self.gradients.policies.policy, Known(future={})
        parameters = list(trained_parameters(policy.model).values())
        before = [parameter.detach().clone() for parameter in parameters]
        state = _copied(self.optimizer.state)
        for ahead in range(count):
            coming = self.data.draw(step + ahead, policy) if self.how.kind == "oracle" else batch
            known.trained.append(self.base.of(coming, None))
            take_step(parameters, self.optimizer, step + ahead, self.config)
        assert known.future is not None
        with torch.no_grad():
            for micro in self.gradients.batcher.micro_batches(batch):
                log_probs = policy.log_probs(micro.rows.to(policy.model.device))
                _keep(known.future, micro, log_probs)
                known.tokens_read += int(micro.rows.tokens)
            for parameter, values in zip(parameters, before, strict=True):
                parameter.copy_(values)
        self.optimizer.state.clear()
        self.optimizer.state.update(state)
        return known

    @torch.no_grad()
    def _seen(
        self, batch: OptimizerBatch, lam: float | None, divergence: Tensor | None
    ) -> Iterator[tuple[MicroBatch, Tensor, Batch]]:
        """Yield each micro-batch, with the policy's log-probs and the filled batch."""
        gradients = self.gradients
        for micro in gradients.batcher.micro_batches(batch, divergence):
            policy, filled, _ = gradients.policies.evaluate(micro, lam)
            yield micro, policy, filled

    def _constant(self, seen: Sequence[tuple[MicroBatch, Tensor, Batch]]) -> Rows:
        """Return coefficients of rows: the mean of their side's, spread evenly over tokens."""
        spec, totals, sides = self.gradients.spec, [], []
        for _, policy, filled in seen:
            with torch.enable_grad():
                log_probs = policy.detach().requires_grad_()
                loss = spec.objective(log_probs, filled, **spec.hyper).sum()
                (slope,) = torch.autograd.grad(loss, log_probs)
            totals.append(-slope.sum(-1))
            sides.append(positive(filled))
        every, side = torch.cat(totals), torch.cat(sides)
        means = {of: every[side == of].mean() for of in (True, False) if (side == of).any()}
        found: Rows = {}
        for (micro, policy, filled), own in zip(seen, sides, strict=True):
            mean = torch.stack([means[bool(of)] for of in own])
            lengths = filled.mask.sum(-1).clamp(min=1)
            _keep(found, micro, (mean / lengths)[:, None].expand_as(policy))
        return found


def check_look_ahead(future: FutureSettings | None, config: Config, data: BatchSource) -> None:
    """Raise InputError where a run cannot find what its future is, as `--future-from` says."""
    if future is None:
        return
    flag = f"--future-from {future.future_from}"
    if future.lam == WINDOW and processes.sharding():
        raise InputError("--lam window: a pair's gradients need all weights in each process")
    if not future.known_first:
        return
    if processes.count() > 1:
        raise InputError(f"{flag}: one process finds it, and {processes.count()} train")
    if config.diagnose_every:
        raise InputError(f"--diagnose-every: not with {flag}, which only a whole batch has")
    if future.kind == "oracle" and data.online:
        raise InputError(f"{flag}: online no batch is there yet that comes: try lookahead:K")


def base_spec(spec: ObjectiveSpec) -> ObjectiveSpec:
    """Return the objective that one that looks ahead is a form of, with its hyper-parameters.

    Raises ValueError for one that does not look ahead.
    """
    base = at_policy(spec.objective.loss)
    if base is None:
        raise ValueError(f"{spec.name} does not look ahead")
    hyper = {name: value for name, value in spec.hyper.items() if name != "apply_to"}
    return replace(spec, objective=replace(spec.objective, loss=base), hyper=hyper, future=None)


def positive(batch: Batch) -> Tensor:
    """Return which rows (B,) are chosen, or of a reward above 0."""
    if batch.pairs is None:
        return batch.reward > 0
    chosen = torch.zeros(len(batch.mask), dtype=torch.bool, device=batch.mask.device)
    chosen[batch.pairs[:, 0]] = True
    return chosen


def _shuffled(seen: Sequence[tuple[MicroBatch, Tensor, Batch]], generator: torch.Generator) -> Rows:
    """Return futures with the ratio that another row of the same side has, a token's in the mean.

    No row keeps its own where its side has two.
    """
    shifts, sides = [], []
    for _, policy, filled in seen:
        lengths = filled.mask.sum(-1).clamp(min=1)
        shift = (filled.future - policy).masked_fill(~filled.mask, 0).sum(-1)
        shifts.append(shift / lengths)
        sides.append(positive(filled))
    every, side = torch.cat(shifts), torch.cat(sides)
    others = every.clone()
    for of in (True, False):
        places = (side == of).nonzero()[:, 0]
        order = places[torch.randperm(len(places), generator=generator).to(places.device)]
        others[order] = every[order.roll(1)]
    found: Rows = {}
    parts = others.split([len(policy) for _, policy, _ in seen])
    for (micro, policy, _), shift in zip(seen, parts, strict=True):
        _keep(found, micro, policy + shift[:, None])
    return found


def _copied(state) -> dict:
    """Return an optimizer's state by parameter, its tensors copied."""

    def copied(value):
        if isinstance(value, dict):
            return {name: copied(own) for name, own in value.items()}
        return value.clone() if isinstance(value, Tensor) else value

    return {parameter: copied(own) for parameter, own in state.items()}


def _units(micro: MicroBatch) -> list[tuple[int, ...]]:
    size = 1 if micro.batch.pairs is None else 2
    return [tuple(unit) for unit in micro.index.view(-1, size).tolist()]


def _keep(rows: Rows, micro: MicroBatch, values: Tensor) -> None:
    """Add what a micro-batch's rows (B, T) have, by its units."""
    lengths = micro.batch.mask.sum(-1).tolist()
    own = [row[:length] for row, length in zip(values.detach(), lengths, strict=True)]
    units = _units(micro)
    size = len(own) // len(units)
    for place, unit in enumerate(units):
        rows[unit] = own[place * size : (place + 1) * size]


def _padded(rows: Rows, micro: MicroBatch) -> Tensor:
    """Return what a micro-batch's rows have, (B, T), 0 beyond their ends."""
    values = [row for unit in _units(micro) for row in rows[unit]]
    padded = pad_sequence(values, batch_first=True)
    missing = micro.batch.mask.shape[1] - padded.shape[1]
    return torch.nn.functional.pad(padded, (0, missing))
