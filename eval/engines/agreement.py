"""Whether an engine of another program computes what the model does that is trained."""

import torch
from transformers import PreTrainedModel

from eval.context import known_tokens
from eval.engines.by_vllm import VllmEngine
from objectives.errors import InputError

SEQUENCES, TOKENS = 3, 24
TOLERANCE = {torch.float32: 1e-3}  # mean difference of a token's log-prob, as a share of them
HALF_TOLERANCE = 0.03  # what is wrong, a layer or the head, is off by about 1


@torch.inference_mode()
def check_agreement(engine: VllmEngine, model: PreTrainedModel) -> float:
    """Return how far the engine's log-probs are from the model's: a token's mean difference, nats.

    Of a few sequences of arbitrary tokens, the model in the engine's dtype. Raises InputError where
    it is more than rounding.
    """
    ids = torch.arange(SEQUENCES * TOKENS, device=model.device) * 37 % known_tokens(model)
    rows = ids.view(SEQUENCES, TOKENS)
    with torch.autocast(model.device.type, engine.dtype, enabled=engine.dtype != torch.float32):
        logits = model(input_ids=rows, use_cache=False).logits
    ours = logits.float().log_softmax(-1)[:, :-1].gather(-1, rows[:, 1:, None])[..., 0].cpu()
    theirs = torch.tensor([engine.log_probs(row) for row in rows.tolist()])
    difference = float((ours - theirs).abs().mean())
    allowed = TOLERANCE.get(engine.dtype, HALF_TOLERANCE) * float(ours.abs().mean())
    if not difference <= allowed:
        raise InputError(
            f"--engine {engine.name}: its log-prob of a token and the model's differ by "
            f"{difference:.3g} in the mean, {allowed:.3g} being what rounding may do: it would "
            f"sample from another policy: --engine transformers"
        )
    return difference
