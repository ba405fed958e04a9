"""One optimizer step: forward passes, the objective, gradients summed over micro-batches."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor

from diagnostics.log_probs import log_prob_metrics, log_prob_totals
from objectives import Head, Objective, mismatch, reference_point, token_log_probs
from objectives.errors import InputError
from train.data.input_rows import InputRows, collate, spread
from train.data.micro_batches import MicroBatch
from train.data.tokenized import TokenizedData, Tokens
from train.devices import processes
from train.models.language_model import LanguageModel
from train.models.past_policies import Anchors, LaggedPolicy
from train.models.reference_states import ReferenceStates


class StepMetrics(NamedTuple):
    tokens: int  # of prompts and completions, without padding
    shared_tokens: int  # those of them that were computed with another trajectory's
    frozen_tokens: int  # those that a model without gradients read, once for each such model
    values: dict[str, float]


@dataclass
class Learner:
    """An objective with its hyper-parameters, and the models whose log-probs it may ask for."""

    objective: Objective
    hyper: Mapping[str, object]  # as resolved, defaults included
    lam: float | None  # of the future policy, where the objective looks ahead
    policy: LanguageModel
    reference: LanguageModel | None
    anchors: Anchors | None
    precision: AbstractContextManager
    lagged: LaggedPolicy | None = None  # of the future policy, where not the reference
    on_policy: bool = False  # the policy is at what sampled the data: its own anchor
    states: ReferenceStates | None = None  # in the place of the reference's forward passes

    @property
    def device(self) -> torch.device:
        return self.policy.model.device

    def evaluate(self, micro: MicroBatch, divergence: Tensor | None) -> tuple:
        """Return the policy's log-probs (B, T), the filled batch and the entropy's sum."""
        device = self.device
        rows = micro.rows.to(device)
        batch = micro.batch.map(lambda x: x.to(device), ("mask", "reward", "group", "weight"))
        batch = batch.map(lambda x: x.to(device), ("pairs", "mean_length"))
        if divergence is not None:
            batch = batch._replace(divergence=divergence.expand(len(batch.mask)))
        with self.precision:
            if torch.is_autocast_enabled(device.type):
                # Each weight is cast once a pass: keeping the casts costs memory and saves nothing.
                torch.set_autocast_cache_enabled(False)
            hidden = self.policy.hidden(rows)
            with torch.no_grad():
                reference = self._reference_parts(micro, rows)
                origin = None if self.lagged is None else _parts(self.lagged.origin, rows)
        out = token_log_probs(
            hidden,
            self.policy.head,
            rows.targets,
            reference=reference,
            origin=origin,
            lam=self.lam,
            entropy=True,
        )
        fields = {"reference": out.reference, "future": out.future}
        fields = {k: spread(v, rows) for k, v in fields.items() if v is not None}
        policy = spread(out.policy, rows)
        if self.on_policy:
            fields["anchor"] = policy.detach()
        batch = batch._replace(**fields, **self._anchor_fields(rows, fields.get("reference")))
        return policy, batch, out.entropy.sum()

    def _reference_parts(self, micro: MicroBatch, rows: InputRows) -> tuple[Tensor, Head] | None:
        if self.states is not None:
            return self.states.hidden(micro.index, self.device), self.states.head
        return None if self.reference is None else _parts(self.reference, rows)

    @property
    def frozen_models(self) -> int:
        """How many models without gradients read every batch; KTO's divergence asks two more."""
        read = self.reference is not None and self.states is None
        models = {id(self.reference.model)} if read else set()
        if self.anchors is not None:
            own = {"anchor": self.anchors.anchor, "previous_anchor": self.anchors.previous}
            models |= {id(own[name].model) for name in own if name in self.objective.needs}
        count = len(models) + (self.lagged is not None)
        return count + 2 * ("divergence" in self.objective.needs)

    def _anchor_fields(self, rows: InputRows, reference: Tensor | None) -> dict[str, Tensor]:
        if self.anchors is None:
            return {}
        fields, known = {}, {}
        if self.reference is not None:
            known[id(self.reference.model)] = reference
        for name, model in (
            ("anchor", self.anchors.anchor),
            ("previous_anchor", self.anchors.previous),
        ):
            if name in self.objective.needs:
                key = id(model.model)
                if key not in known:
                    with self.precision:
                        known[key] = model.log_probs(rows)
                fields[name] = known[key]
        return fields

    def divergence(
        self, encoded: TokenizedData, index: Tensor, rows_at_once: int, pad: int
    ) -> Tensor:
        """Return KTO's z0 over an optimizer batch of rows (N,) of the data set."""
        return reference_point(self.mismatched_ratios(encoded, index, rows_at_once, pad))

    def mismatched_ratios(
        self,
        encoded: TokenizedData,
        index: Tensor,
        rows_at_once: int,
        pad: int,
        shared: bool = False,
    ) -> Tensor:
        """Return log-ratios of prompts with completions not theirs, (N,), for KTO's z0.

        index: (N,) rows of the data set, of a whole optimizer batch. shared: this process does its
        share of them, and leaves 0 for the others.
        """
        try:
            partners = index[mismatch(encoded.group[index])]
        except ValueError as error:
            raise InputError(f"--batch-size {len(index)}: {error}") from None
        ratios = torch.zeros(len(index), device=self.device)
        parts = torch.arange(len(index)).split(rows_at_once)
        for places, counted in processes.even_share(parts) if shared else zip(parts, repeat(True)):
            pairs = zip(index[places].tolist(), partners[places].tolist(), strict=True)
            tokens = [_mismatched(encoded, own, other) for own, other in pairs]
            rows = collate(tokens, pad).to(self.device)
            with self.precision:
                ratio = self.policy.log_probs(rows) - self.reference.log_probs(rows)
            if counted:
                ratios[places.to(self.device)] = ratio.sum(-1)
        return ratios

    def accumulate(
        self, micros: Iterable[MicroBatch], count: int, divergence=None
    ) -> dict[str, Tensor]:
        """Add to the gradients those of the mean loss over the `count` units of all micro-batches.

        Returns the sums that `step_metrics` makes metrics of. The loss of each micro-batch is
        divided by the count of the whole optimizer batch, so that its division into micro-batches
        and among processes changes nothing.
        """
        totals: dict[str, Tensor | float] = {}
        for micro in micros:
            policy, batch, entropy = self.evaluate(micro, divergence)
            loss = self.objective(policy, batch, **self.hyper).sum() / count
            loss = loss if micro.counted else 0 * loss
            loss.backward()
            values = log_prob_totals(policy, batch, self.hyper.get("beta"))
            values |= {"loss": loss.detach(), "entropy": entropy}
            values["completion_tokens"] = batch.mask.sum()
            values["tokens"] = micro.rows.tokens
            values["computed"] = micro.rows.attention_mask.sum()
            values["places"] = torch.tensor(micro.rows.input_ids.numel())
            for name, value in values.items():
                value = value if micro.counted else torch.zeros_like(value)
                totals[name] = totals.get(name, 0.0) + value.to(policy.device)
        return totals


def _parts(model: LanguageModel, rows: InputRows) -> tuple[Tensor, Head]:
    return model.hidden(rows), model.head


def step_metrics(totals: dict[str, Tensor], frozen_models: int) -> StepMetrics:
    """Return a step's metrics from the sums over its micro-batches in all processes."""
    sums = torch.stack([total.double() for total in totals.values()])
    numbers = processes.add_up(sums).tolist()
    named = dict(zip(totals, numbers, strict=True))
    loss, tokens, computed = (named.pop(name) for name in ("loss", "tokens", "computed"))
    entropy = named.pop("entropy") / named.pop("completion_tokens")
    padding = 1 - computed / named.pop("places")
    values = {"loss": loss, "entropy": entropy, "padding": padding, **log_prob_metrics(named)}
    return StepMetrics(int(tokens), int(tokens - computed), int(computed) * frozen_models, values)


def _mismatched(encoded: TokenizedData, own: int, other: int) -> Tokens:
    prompt, completion = encoded.tokens[own].prompt, encoded.tokens[other].completion
    return Tokens(prompt, completion[: encoded.max_tokens - len(prompt)])
