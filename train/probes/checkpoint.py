"""A run at a checkpoint: the models that its objective saw there, and how it weighed pairs."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from diagnostics.entanglement.measure import PAIRS_AT_ONCE, MeasuredPairs, objective_batch
from objectives import Batch, reference_point
from objectives.errors import InputError
from train.config import Config
from train.config.spec import ObjectiveSpec
from train.data.input_rows import collate
from train.data.tokenized import TokenizedData
from train.data.units import advantages, solve_rates
from train.learning.divergence import mismatched_ratios
from train.learning.past import past_plan
from train.models.language_model import LanguageModel
from train.models.past_policies import Anchors, LaggedPolicy
from train.store.opened import CheckpointedRun
from train.store.parts import State, read_state


class SeenModels(NamedTuple):
    """The models that an objective sees."""

    policy: LanguageModel
    reference: LanguageModel
    origin: LanguageModel  # from which the future policy is extrapolated
    # At the run's last outer steps; None where they aren't kept, or it has none.
    anchors: tuple[LanguageModel, LanguageModel] | None = None
    notes: tuple[str, ...] = ()  # on what isn't known


def seen_at(
    run: CheckpointedRun, policy: LanguageModel, reference: LanguageModel, config: Config
) -> SeenModels:
    """Return the models that a run's objective saw at its checkpoint.

    policy: of the checkpoint. config: the run's. Policies of earlier steps are those of the
    checkpoint's training state; where that can't be read, a note says what stands in their place.
    """
    plan = past_plan(run.spec, config.online, config.online_updates)
    seen = SeenModels(policy, reference, reference)
    if not (plan.anchored and plan.period) and plan.lag is None:
        return seen
    try:
        state = read_state(run.checkpoint)
    except InputError as error:
        return seen._replace(
            notes=(
                f"policies of earlier steps are not known ({error}): the anchor is taken to be the "
                f"policy, and the future policy to be extrapolated from the reference",
            )
        )
    if plan.anchored and plan.period:
        anchors = Anchors(reference, policy, plan.period)
        anchors.load_state_dict(*_part(state, "anchors", run))
        seen = seen._replace(anchors=(anchors.anchor, anchors.previous))
    if plan.lag is not None:
        lagged = LaggedPolicy(reference, policy, plan.lag)
        lagged.load_state_dict(*_part(state, "lagged", run))
        seen = seen._replace(origin=lagged.origin)
    return seen


def _part(state: dict[str, State], name: str, run: CheckpointedRun) -> State:
    if name not in state:
        raise InputError(f"{run.checkpoint}: its training state has no {name}")
    return state[name]


def probe_batch(
    measured: MeasuredPairs,
    spec: ObjectiveSpec,
    config: Config,
    data: TokenizedData,
    seen: SeenModels,
) -> Batch:
    """Return measured pairs of a data set as an objective's batch, as a run with `config` has it.

    seen: the models that the pairs were measured under; where it has no anchors, an anchor is the
    policy if training would renew it (as if an outer step began here), and else the reference,
    which sampled the data. Raises InputError where the objective compares with other prompts'
    completions (KTO's z0) and all pairs are of one prompt.
    """
    index, objective = measured.pairs.index, spec.objective
    reward = advantages(data, objective, config.advantage)
    divergence = None
    if "divergence" in objective.needs:
        if len(data.group[index].unique()) < 2:
            raise InputError(
                f"--objective {objective.name} compares with other prompts' completions, and all "
                f"pairs are of one prompt: ask for more with --pairs"
            )
        ratios = mismatched_ratios(seen.policy, seen.reference, data, index, 2 * PAIRS_AT_ONCE)
        divergence = reference_point(ratios)
    columns = reward, data.group, data.weight, solve_rates(data)
    known = (column[index] for column in columns)
    anchors = _anchors(measured, spec, config, seen)
    return objective_batch(measured.batch, *known, anchors=anchors, divergence=divergence)


def _anchors(
    measured: MeasuredPairs, spec: ObjectiveSpec, config: Config, seen: SeenModels
) -> tuple[Tensor, Tensor]:
    plan = past_plan(spec, config.online, config.online_updates)
    if seen.anchors is None or not plan.anchored:
        renewed = plan.on_policy or plan.period
        anchor = measured.batch.anchor if renewed else measured.batch.reference
        return anchor, anchor
    tokens, width = measured.pairs.tokens, measured.batch.mask.shape[1]
    parts = [tokens[at : at + PAIRS_AT_ONCE] for at in range(0, len(tokens), PAIRS_AT_ONCE)]
    now, before = (_joined((_log_probs(m, p) for p in parts), width) for m in seen.anchors)
    return now, before


@torch.no_grad()
def _log_probs(model: LanguageModel, tokens) -> Tensor:
    return model.log_probs(collate(list(tokens)).to(model.model.device))


def _joined(parts: Iterable[Tensor], width: int) -> Tensor:
    return torch.cat([nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
