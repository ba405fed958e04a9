"""The models that an objective may ask for, and what it sees of a micro-batch."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from objectives import Batch, Head, future_divergence, token_log_probs
from objectives.divergence_ahead import Divergence
from train.data.input_rows import InputRows, spread
from train.data.micro_batches import MicroBatch
from train.models.language_model import LanguageModel
from train.models.past_policies import Anchors, LaggedPolicy
from train.models.reference_states import ReferenceStates


class States(NamedTuple):
    """What the models of a future policy made of a micro-batch."""

    rows: InputRows
    hidden: Tensor  # (N, d) the policy's, with gradients
    reference: tuple[Tensor, Head] | None
    origin: tuple[Tensor, Head] | None  # of the future policy, where not the reference


@dataclass
class Policies:
    """The policy that is trained, and those that give an objective's other log-probs."""

    needs: tuple[str, ...]  # fields of Batch that the objective reads
    policy: LanguageModel
    reference: LanguageModel | None = None
    anchors: Anchors | None = None
    lagged: LaggedPolicy | None = None  # origin of the future policy, where not the reference
    on_policy: bool = False  # the policy is at what sampled the data: its own anchor
    states: ReferenceStates | None = None  # in the place of the reference's forward passes
    ratio: bool = False  # the future is extrapolated by token, and not normalised
    divergence_kind: Divergence = "kl"  # of the policy from the future policy

    @property
    def device(self) -> torch.device:
        return self.policy.model.device

    def read(self, micro: MicroBatch, reference: tuple[Tensor, Head] | None = None) -> States:
        """Return the final hidden states of the policy, the reference and the future's origin.

        reference: its states and head, of whoever has them already.
        """
        rows = micro.rows.to(self.device)
        hidden = self.policy.hidden(rows)
        with torch.no_grad():
            reference = reference or self._reference_parts(micro, rows)
            origin = None if self.lagged is None else _parts(self.lagged.origin, rows)
        return States(rows, hidden, reference, origin)

    def evaluate(
        self,
        micro: MicroBatch,
        lam: float | None,
        states: States | None = None,
        in_place: bool = False,
    ) -> tuple[Tensor, Batch, Tensor]:
        """Return the policy's log-probs (B, T), the filled batch and the sum of the entropies.

        lam: λ of the future policy; None: nothing is extrapolated. Where the future is known of
        the micro-batch it is that; where nothing is known of it, the policy is its own. Of a future
        that is known by its tokens alone the collision is the policy's. The log-probs carry their
        gradient, and so does a divergence from the future policy. states: what `read` returned,
        where the models have read the micro-batch already. in_place: a backward pass adds the
        head's gradient to the one that is there, without making one of its own.
        """
        known = micro.batch.future is not None
        device = self.device
        batch = micro.batch.map(lambda x: x.to(device), Batch._fields)
        rows, hidden, reference, origin = self.read(micro) if states is None else states
        head = self.policy.head
        if in_place:
            head = head._replace(total=_float32(head.weight.grad))
        out = token_log_probs(
            hidden,
            head,
            rows.targets,
            reference=reference,
            origin=origin,
            lam=None if known or self.ratio else lam,
            entropy=True,
            collision="collision" in self.needs,
        )
        names = "reference", "future", "collision", "future_collision"
        fields = {name: getattr(out, name) for name in names}
        fields = {k: spread(v, rows) for k, v in fields.items() if v is not None}
        policy = spread(out.policy, rows)
        if "future" in self.needs and not known and "future" not in fields:
            here = policy.detach()
            ahead = 0 if lam is None else lam * (here - fields["reference"])
            fields["future"] = here + ahead
        if "future_collision" in self.needs and "future_collision" not in fields:
            fields["future_collision"] = fields["collision"]
        if "future_divergence" in self.needs:
            source = reference if origin is None else origin
            assert source is not None  # of what is extrapolated
            apart = future_divergence(hidden, head, source, lam or 0, kind=self.divergence_kind)
            fields["future_divergence"] = spread(apart, rows)
        if self.on_policy:
            fields["anchor"] = policy.detach()
        batch = batch._replace(**fields, **self._anchor_fields(rows, fields.get("reference")))
        assert out.entropy is not None  # it was asked for
        return policy, batch, out.entropy.sum()

    def require_reference(self) -> LanguageModel:
        """Return the reference of an objective that needs the model itself, not its states alone.

        Raises ValueError where it was left out.
        """
        if self.reference is None:
            raise ValueError("the reference is asked for, and was left out")
        return self.reference

    @property
    def frozen_models(self) -> int:
        """How many models without gradients read every batch; KTO's divergence asks two more."""
        return self.models_beside + 2 * ("divergence" in self.needs)

    @property
    def models_beside(self) -> int:
        """How many models without gradients `evaluate` asks."""
        models = {id(model.model) for model in self._anchors_read().values()}
        if self.reference is not None and self.states is None:
            models.add(id(self.reference.model))
        return len(models) + (self.lagged is not None)

    def _reference_parts(self, micro: MicroBatch, rows: InputRows) -> tuple[Tensor, Head] | None:
        if self.states is not None:
            return self.states.hidden(micro.index, self.device), self.states.head
        return None if self.reference is None else _parts(self.reference, rows)

    def _anchors_read(self) -> dict[str, LanguageModel]:
        """Return the anchors that the objective reads, by the field of Batch."""
        if self.anchors is None:
            return {}
        own = {"anchor": self.anchors.anchor, "previous_anchor": self.anchors.previous}
        return {name: model for name, model in own.items() if name in self.needs}

    def _anchor_fields(self, rows: InputRows, reference: Tensor | None) -> dict[str, Tensor]:
        known = {} if self.reference is None else {id(self.reference.model): reference}
        fields = {}
        for name, model in self._anchors_read().items():
            key = id(model.model)
            if key not in known:
                known[key] = model.log_probs(rows)
            fields[name] = known[key]
        return fields


def _float32(gradient: Tensor | None) -> Tensor | None:
    """Return a gradient that sums keep their digits in, None for another."""
    return gradient if gradient is not None and gradient.dtype == torch.float32 else None


def _parts(model: LanguageModel, rows: InputRows) -> tuple[Tensor, Head]:
    return model.hidden(rows), model.head
