"""Small float64 models, pairs and plain-autograd twins for the tests of diagnostics."""

import functools
import types

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from train.models.load import load_model

SIZES = {
    "vocab_size": 19, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 1,
    "bos_token_id": None, "initializer_range": 0.4,
}  # fmt: skip
KINDS = {"llama": (LlamaForCausalLM, LlamaConfig), "qwen2": (Qwen2ForCausalLM, Qwen2Config)}
NAMES = ["builtin", *(f"{kind} {tie}" for kind in KINDS for tie in ("tied", "untied"))]


@functools.cache
def model(name):
    """Return a model in float64: the built-in one, or a random tiny one."""
    if name == "builtin":
        made = load_model("builtin", dtype=torch.float64)[0]
    else:
        kind, tie = name.split()
        make, config = KINDS[kind]
        torch.manual_seed(0)
        made = make(config(**SIZES, tie_word_embeddings=tie == "tied")).double().eval()
    for module in made.modules():
        if type(module).__name__.endswith("RMSNorm"):  # its own forward rounds to float32
            module.forward = types.MethodType(_norm_in_float64, module)
    return made


def _norm_in_float64(module, hidden):
    variance = hidden.square().mean(-1, keepdim=True)
    return module.weight * (hidden * torch.rsqrt(variance + module.variance_epsilon))


# (prompt, completion), chosen and rejected in turn, of ragged lengths.
TOKENS = [
    ([4, 5, 6], [7, 8, 9, 10, 1]),
    ([4, 5, 6], [7, 8, 11, 1]),
    ([12, 13], [3, 2, 1]),
    ([12, 13], [2, 3, 14, 15, 16, 2, 1]),
    ([5, 5, 5, 5], [6]),
    ([5, 5, 5, 5], [9, 9]),
]


def twin_log_probs(model, prompt, completion):
    """Return a trajectory's token log-probs, (n,), from the model's logits, unpadded."""
    ids = torch.tensor([[*prompt, *completion]])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
    log_probs = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
    return log_probs[torch.arange(len(completion)), torch.tensor(completion)]


def twin_gradient(model, prompt, completion, weight, names=None):
    """Return the flat gradient of Σ weight_t log π(y_t), (parameters,), by plain autograd."""
    parameters = [p for n, p in model.named_parameters() if names is None or n in names]
    total = (torch.as_tensor(weight) * twin_log_probs(model, prompt, completion)).sum()
    gradients = torch.autograd.grad(total, parameters)
    return torch.cat([g.flatten() for g in gradients])
