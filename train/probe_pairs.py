"""Fixed pairs of trajectories on which a run is watched while it trains."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from diagnostics.forecast_score import ProbeTokens
from diagnostics.probes import Snapshot, take_snapshot
from objectives import Objective
from objectives.errors import InputError
from train.batches import MicroBatch, micro_batches
from train.dataset import TokenizedData, advantages
from train.draws import mean_length
from train.ground import Ground
from train.language_model import LanguageModel

SEED = 20_250_919  # of the choice, the same in every run so that runs can be compared


@dataclass(frozen=True)
class ProbePairs:
    """P pairs as one micro-batch of 2P rows, chosen and rejected in turn."""

    micro: MicroBatch
    pairs: Tensor  # (P, 2) rows of the data set

    @torch.no_grad()
    def snapshot(self, policy: LanguageModel, precision: AbstractContextManager) -> Snapshot:
        """Return a copy of a policy at the probes; precision: the context of its forward pass."""
        with precision:
            hidden = policy.hidden(self.micro.rows.to(policy.model.device))
        return take_snapshot(hidden, policy.head)

    @property
    def tokens(self) -> ProbeTokens:
        """The sampled tokens at the probe positions, in the order of the mask."""
        return ProbeTokens(self.micro.rows.targets, self.micro.rows.mask)


def probe_pairs(
    encoded: TokenizedData, reward: Tensor, count: int, pad_id: int
) -> ProbePairs | None:
    """Choose up to `count` pairs, of as many different prompts as there are; None without pairs.

    reward: (N,) what the objective sees, for every row of the TokenizedData.
    Draws from a generator of its own, so that training draws what it would without.
    """
    pairs = encoded.all_pairs()
    if not len(pairs):
        return None
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(SEED))
    _, group, size = encoded.group[pairs[order, 0]].unique(return_inverse=True, return_counts=True)
    together = group.argsort(stable=True)
    before = torch.empty_like(group)  # how many pairs of the same prompt came before
    before[together] = torch.arange(len(group)) - (size.cumsum(0) - size)[group[together]]
    order = order[before.argsort(stable=True)][:count]
    chosen = pairs[order.sort().values]
    length = mean_length(encoded, chosen.flatten())
    (micro,) = micro_batches(encoded, reward, [chosen], pad_id, length)
    return ProbePairs(micro, chosen)


def require_probes(
    ground: Ground, objective: Objective, count: int, flag: str, remedy: str = ""
) -> ProbePairs:
    """Return the probe pairs of a run. Raises InputError naming the flag where there are none."""
    reward = advantages(ground.encoded, objective, ground.config.advantage)
    probes = probe_pairs(ground.encoded, reward, count, ground.tokenizer.pad_token_id)
    if probes is None:
        raise InputError(
            f"{flag} looks at pairs of a correct and an incorrect trajectory of one prompt, of "
            f"which the data have none{remedy}"
        )
    return probes
