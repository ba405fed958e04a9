"""Rows that are held out, looked at while a run trains: the objective's loss, pairs, log-probs."""

from collections.abc import Iterator

import torch
from torch import Tensor

from diagnostics.log_probs import CHOSEN, MARGINS, MEAN_LOGPS, REJECTED, REWARDS
from eval.statistics.clusters import clustered_mean, clustered_share
from objectives import Batch
from objectives.batch import log_prob_mean, log_ratio_sum
from train.data.micro_batches import MicroBatch
from train.data.offline import OfflineData, OptimizerBatch, mean_length
from train.devices import processes
from train.learning.gradients import Gradients
from train.models.language_model import uncompiled

PREFIX = "heldout/"
LOSS, ACCURACIES = f"{PREFIX}loss", f"{PREFIX}{REWARDS}/accuracies"
SUFFIXES = ("_low", "_high")
SHARES = (f"{REWARDS}/accuracies",)
Found = Iterator[tuple[str, Tensor, Tensor]]  # a name, values (R,), and the group of each


def names_of(data: OfflineData) -> list[str]:
    """Return the metrics that looks at an objective's units of held-out rows have."""
    paired = data.units.rows.shape[1] == 2
    names = [f"{REWARDS}/accuracies", MARGINS] if paired else []
    sides = ((CHOSEN, data.tokenized.reward > 0), (REJECTED, data.tokenized.reward <= 0))
    names += [f"{MEAN_LOGPS}/{side}" for side, rows in sides if rows.any()]
    return [LOSS, *(f"{PREFIX}{name}" for name in names)]


class HeldOut:
    """Looks at the units that an objective finds in held-out rows."""

    def __init__(self, data: OfflineData, gradients: Gradients):
        """gradients: of the run's objective and policies; these with the reference itself."""
        units, tokenized = data.units, data.tokenized
        count = len(units.rows) if data.objective.unit == "pair" else units.rows.numel()
        length = mean_length(tokenized, units.rows.flatten())
        self.batch = OptimizerBatch(tokenized, units.reward, units.rows, count, length, {})
        self.gradients = gradients
        groups, self.index = torch.unique(tokenized.group, return_inverse=True)
        self.groups = len(groups)

    @torch.no_grad()
    def look(self, lam: float | None) -> dict[str, float]:
        """Return means with 95 % intervals over prompts, by the names of metrics.jsonl.

        The loss is that of the objective at the policy. rewards/accuracies is the share of pairs
        whose chosen side has risen more than the rejected one, from the reference, ties counting a
        half; rewards/margins by how much, times beta where the objective has one. mean_logps/* are
        of a token. lam: λ of the future policy.
        """
        with uncompiled():
            sums = self.gradients.fitting(self.batch, lambda: self._sums(lam))
        found = {}
        for name, (total, count) in sums.items():
            total, count = (processes.add_up(x).cpu().numpy() for x in (total, count))
            if count.sum():
                interval = clustered_share if name in SHARES else clustered_mean
                mean, *bounds = interval(total, count)
                found[f"{PREFIX}{name}"] = mean
                if bounds[0] == bounds[0]:  # one prompt alone leaves none
                    ends = zip(SUFFIXES, bounds, strict=True)
                    found |= {f"{PREFIX}{name}{end}": bound for end, bound in ends}
        return found

    def _sums(self, lam: float | None) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of each prompt, (G,) each, of what this process computes."""
        device = self.gradients.policies.device
        kind = {"dtype": torch.float64, "device": device}
        names = ("loss", f"{REWARDS}/accuracies", MARGINS, *(f"{MEAN_LOGPS}/{side}" for side in
                 (CHOSEN, REJECTED)))  # fmt: skip
        sums = {n: (torch.zeros(self.groups, **kind), torch.zeros(self.groups, **kind))
                for n in names}  # fmt: skip
        divergence = self.gradients.divergence(self.batch)
        for micro in self.gradients.batcher.micro_batches(self.batch, divergence):
            for name, values, groups in self._of(micro, lam):
                if micro.counted:
                    total, count = sums[name]
                    total.index_add_(0, groups, values.to(**kind))
                    count.index_add_(0, groups, torch.ones_like(values, **kind))
        return sums

    def _of(self, micro: MicroBatch, lam: float | None) -> Found:
        spec, policies = self.gradients.spec, self.gradients.policies
        policy, batch, _ = policies.evaluate(micro, lam)
        groups = self.index[micro.index].to(policies.device)
        first = groups if batch.pairs is None else groups[batch.pairs[:, 0]]
        loss = spec.objective(policy, batch, **spec.hyper)
        yield "loss", loss, first if spec.objective.unit == "pair" else groups
        for side, rows in ((CHOSEN, batch.reward > 0), (REJECTED, batch.reward <= 0)):
            yield f"{MEAN_LOGPS}/{side}", log_prob_mean(policy, batch.mask)[rows], groups[rows]
        if batch.pairs is not None:
            margin = _margins(policy, batch)
            yield f"{REWARDS}/accuracies", (margin.sign() + 1) / 2, first
            yield MARGINS, margin * spec.hyper.get("beta", 1.0), first


def _margins(policy: Tensor, batch: Batch) -> Tensor:
    """Return how much more each pair's chosen side has risen from the reference, (P,)."""
    risen = log_ratio_sum(policy, batch)[batch.pairs]
    return risen[:, 0] - risen[:, 1]
