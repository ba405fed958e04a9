"""Policies that others trained, beside the reference that they began from."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from diagnostics.entanglement.coefficients import coefficients_now_and_ahead
from diagnostics.entanglement.explanation import LAMS
from diagnostics.entanglement.measure import (
    PAIRS_AT_ONCE,
    MeasuredPairs,
    ProbeLogProbs,
    join_log_probs,
)
from objectives import Batch
from train.config.spec import ObjectiveSpec
from train.data.tokens import Tokens
from train.models.adapters import base_of_adapter, is_adapter
from train.models.language_model import LanguageModel
from train.models.load import load_model
from train.models.vocabulary import check_same_vocabulary
from train.probes.pairs import read_probes


def reference_of(model: str | None, reference: str | None) -> str | None:
    """Return the name of a model's reference: the one given, an adapter's base, or itself."""
    if reference is None and model is not None and is_adapter(Path(model)):
        return base_of_adapter(Path(model))
    return model if reference is None else reference


def policy_beside(
    name: str, reference: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, its_name: str
) -> PreTrainedModel:
    """Return a policy, frozen, on its reference's device.

    name: as `load_model` takes it. reference, tokenizer, its_name: of what it began from. Raises
    InputError where there is none of that name, or where the two do not have the same vocabulary.
    """
    model, own = load_model(name, device=str(reference.device))
    check_same_vocabulary(name, (model, own), its_name, (reference, tokenizer))
    return model.requires_grad_(False)


def fpa_ratios(
    measured: MeasuredPairs,
    spec: ObjectiveSpec,
    batch: Batch,
    policy: LanguageModel,
    reference: LanguageModel,
) -> dict[float, np.ndarray]:
    """Return (N,) c_l/c_w of fpa at the future policy, for each of LAMS.

    spec: of fpa. batch: of `probe_batch` with it.
    """
    ratios = {}
    assert measured.batch.anchor is not None  # `join_log_probs` sets it
    parts: dict[float, list[ProbeLogProbs]] = {lam: [] for lam in LAMS}
    for at in range(0, len(measured.pairs.number), PAIRS_AT_ONCE):
        read = read_probes(_tokens(measured, at), policy, reference)
        for lam in LAMS:
            parts[lam].append(_light(read.log_probs(lam)))
    for lam in LAMS:
        seen = join_log_probs(parts[lam])
        ahead = batch._replace(future=seen.future, future_collision=seen.future_collision)
        _, future = coefficients_now_and_ahead(
            spec.objective.loss, measured.batch.anchor, ahead, **spec.hyper
        )
        ratios[lam] = future.ratio.double().cpu().numpy()
    return ratios


def _tokens(measured: MeasuredPairs, start: int) -> Sequence[Tokens]:
    # Drawn from a data set, whose rows are these.
    part = measured.pairs.slice(start, start + PAIRS_AT_ONCE).tokens
    return cast("Sequence[Tokens]", part)


def _light(values: ProbeLogProbs) -> ProbeLogProbs:
    return values._replace(hidden=values.hidden[..., :0])
