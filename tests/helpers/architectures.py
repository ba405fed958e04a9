"""Tiny random models of many architectures, made from their configurations alone."""

import inspect
from types import MappingProxyType

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

SIZES = MappingProxyType({
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0,
    "bos_token_id": None, "eos_token_id": 1, "d_model": 32, "n_embd": 32, "n_layer": 2, "n_head": 4,
    "n_layers": 2, "n_heads": 4, "ffn_dim": 48, "decoder_layers": 2, "decoder_ffn_dim": 48,
    "decoder_attention_heads": 4, "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "n_shared_experts": 1,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
    "v_head_dim": 8, "state_size": 8, "mamba_d_state": 8, "mamba_n_heads": 4, "mamba_d_head": 16,
    "mamba_n_groups": 1, "mamba_d_ssm": 64, "mamba_chunk_size": 8, "chunk_size": 8,
    "mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 1, "ssm_state_size": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "lru_width": 32, "attention_window_size": 8,
})  # fmt: skip
MIXED = ["linear_attention", "full_attention"]


def tiny(kind: str, vocabulary: int, **more) -> PreTrainedModel:
    """Return a model of a configuration's `model_type`, with logits that differ enough."""
    made = CONFIG_MAPPING[kind]
    known = {*inspect.signature(made.__init__).parameters, *made.attribute_map}
    sizes = {name: size for name, size in SIZES.items() if name in known}
    other_names = {old for old, new in made.attribute_map.items() if new in sizes | more}
    sizes = {name: size for name, size in sizes.items() if name not in other_names}
    config = made(**{**sizes, "vocab_size": vocabulary, **more})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model
