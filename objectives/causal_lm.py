"""From a causal language model and token ids to what objectives read, in a loop of your own."""

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from objectives.batch import Batch
from objectives.divergence_ahead import Divergence, future_divergence
from objectives.head import Head
from objectives.kernel import token_log_probs

SOFT_CAPS = (  # of logits: Gemma 2, RecurrentGemma, xLSTM
    "final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap",
)  # fmt: skip
TOLERANCE = 1e-3  # of the largest logit, or what the dtype rounds off
_checked: WeakSet[nn.Module] = WeakSet()  # models whose own logits the head was seen to give


def log_probs(
    model: nn.Module,
    input_ids: Tensor,
    completion_mask: Tensor,
    *,
    attention_mask: Tensor | None = None,
    reference: nn.Module | None = None,
    lam: float | None = None,
    collision: bool = False,
    divergence_kind: Divergence | None = None,
    adapter_is_policy: bool = False,
) -> tuple[Tensor, Batch]:
    """Return a policy's token log-probs and the batch of an objective, but for its row fields.

    The model is called once, and the reference once without gradients; logits exist for a chunk of
    the completions' tokens at a time. Whoever calls it cuts a batch into micro-batches.

    model: a causal language model of transformers, or of peft around one, also within
    DistributedDataParallel; it needs `get_output_embeddings`, `base_model` and `config`.
    input_ids: (B, L) prompts with their completions, padded on either side.
    completion_mask: (B, L), true on the tokens that are learnt.
    attention_mask: (B, L) as the model takes it; needed where padding is on the left.
    reference: the frozen model, with the same vocabulary, for objectives that read it.
    lam: λ of the future policy (arXiv 2509.19893), from the reference; see `future_policy`.
    collision: give log Σ π² too, of the policy and, with λ, of the future policy (for wpo_dpo).
    divergence_kind: with λ, give the divergence from the future policy too, kl or js (for rise).
    adapter_is_policy: the reference is the model without its peft adapter, in place of `reference`.
    Returns the log-probs, (B, L - 1) in float32 and 0 where nothing is learnt, and a Batch with
    `mask` and what was asked for of `reference`, `future`, collisions and divergence, to which
    `_replace` adds rewards, pairs and the like; log-probs and divergence carry gradients. Raises
    ValueError for shapes that do not fit, a λ without a reference, a divergence without λ, and a
    model whose logits are not those of its head.
    """
    shapes = {tuple(x.shape) for x in (input_ids, completion_mask, attention_mask) if x is not None}
    if input_ids.dim() != 2 or len(shapes) != 1:
        found = sorted(shapes)
        raise ValueError(f"input_ids and masks must be (B, L) of one shape, got {found}")
    if reference is not None and adapter_is_policy:
        raise ValueError("give either a reference or adapter_is_policy")
    if divergence_kind is not None and lam is None:
        raise ValueError("a divergence from the future policy needs lam, its λ")
    mask, targets = completion_mask[:, 1:].bool(), input_ids[:, 1:]
    inputs = {"input_ids": input_ids}
    if attention_mask is not None:
        inputs["attention_mask"] = attention_mask
    other = None
    if reference is not None or adapter_is_policy:
        frozen = model if reference is None else reference
        without = _causal_of(model, "disable_adapter") if adapter_is_policy else None
        with torch.no_grad(), nullcontext() if without is None else without.disable_adapter():
            states, head = _states(frozen, inputs)
            other = states[:, :-1][mask], head
    states, head = _states(model, inputs)
    hidden = states[:, :-1][mask]
    found = token_log_probs(
        hidden, head, targets[mask], reference=other, lam=lam, collision=collision
    )
    apart = None
    if divergence_kind is not None and lam is not None and other is not None:
        apart = future_divergence(hidden, head, other, lam, kind=divergence_kind)
    policy, before, future, _, met, future_met, apart = (
        None if x is None else x.new_zeros(mask.shape).masked_scatter(mask, x)
        for x in (*found, apart)
    )
    assert policy is not None
    return policy, Batch(
        mask, before, future, collision=met, future_collision=future_met, future_divergence=apart
    )


def output_head(model: nn.Module) -> Head:
    """Return a causal language model's output head: its weight, and what its config makes of it.

    Raises ValueError for a model without a linear one.
    """
    layer: Any = model.get_output_embeddings()  # pyright: ignore[reportCallIssue]
    if layer is None or getattr(layer, "weight", None) is None:
        raise ValueError(f"{type(model).__name__} has no linear output head to train through")
    config: Any = model.config
    config = config.get_text_config()
    scale = 1.0
    if getattr(config, "logit_scale", None):  # Cohere
        scale *= config.logit_scale
    if getattr(config, "logits_mup_width_multiplier", None):  # Inkling
        scale /= config.logits_mup_width_multiplier
    if getattr(config, "logits_scaling", None):  # Granite, MiniCPM 3
        scale /= config.logits_scaling
    elif getattr(config, "dim_model_base", None):  # MiniCPM
        scale *= config.dim_model_base / config.hidden_size
    caps = (getattr(config, name, None) for name in SOFT_CAPS)
    softcap = next(filter(None, caps), None)
    return Head(layer.weight, getattr(layer, "bias", None), scale, softcap)


def backbone_of(model: Any) -> nn.Module:
    """Return the part of a causal language model that makes its hidden states."""
    base = model.base_model
    return getattr(model, "model", base) if base is model else base  # Llama 4 misnames its own


def _causal_of(model: Any, having: str) -> Any:
    """Return what is within wrappers that has an attribute, by `module` from one to the next."""
    while not hasattr(model, having):
        if not hasattr(model, "module"):
            raise ValueError(f"{type(model).__name__} has no {having}")
        model = model.module
    return model


def _states(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Head]:
    """Call a model and return its final hidden states, (B, L, d), and its head.

    It is called as a whole, so that what is wrapped around it sees the call, for the logits of one
    token a row; the states are taken on the way.
    """
    causal = _causal_of(model, "get_output_embeddings")
    if hasattr(causal, "get_base_model"):
        causal = causal.get_base_model()
    states: list[Tensor] = []
    accepted = inspect.signature(causal.forward).parameters
    few = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    taken = backbone_of(causal).register_forward_hook(
        lambda module, given, output: states.append(output.last_hidden_state)
    )
    try:
        logits = model(**inputs, use_cache=False, **few).logits
    finally:
        taken.remove()
    head = output_head(causal)
    if causal not in _checked:
        _check(causal, head, states, logits)
        _checked.add(causal)
    return states[0], head


@torch.no_grad()
def _check(causal: nn.Module, head: Head, states: list[Tensor], logits: Tensor) -> None:
    if len(states) != 1:
        raise ValueError(f"{type(causal).__name__} computed hidden states {len(states)} times")
    ours = head.logits(states[0][:, -1])
    theirs = logits[:, -1].to(ours.dtype)
    tolerance = max(TOLERANCE, 2 * torch.finfo(logits.dtype).eps)
    difference = (ours - theirs)[theirs.isfinite()].abs().max()
    if not difference <= tolerance * theirs[theirs.isfinite()].abs().max().clamp(min=1):
        raise ValueError(
            f"{type(causal).__name__} makes its logits in a way that its head and config do not "
            f"tell (they differ by {difference:.3g}): log-probs would be wrong"
        )
