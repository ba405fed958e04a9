"""Many architectures: log-probs are the model's own, greedy completions its `generate`'s."""

import functools
import warnings

import pytest
import torch

from eval.decoding.choice import ALONE, IN_STEP, OWN, way_of
from eval.generation import generate
from objectives.errors import InputError
from tests.helpers.architectures import MIXED, tiny
from tests.helpers.versions import RECENT
from train.builtin.base_model import make_tokenizer
from train.data.input_rows import collate
from train.data.tokens import Tokens
from train.models.language_model import open_model, sharing_width

LATENT = {"num_key_value_heads": 4}  # of keys and values that are compressed
PROMPTS = ["1+2=", "9-3*2+1=", "4", "9-3*2+5="]
ROWS = [Tokens([5, 9, 3, 2, 4, 7, 8], [4, 6, 10]), Tokens([5, 9, 3, 2, 8], [2, 3, 4, 1])]
MODELS = {
    "llama": (IN_STEP, {}), "llama4_text": (IN_STEP, {}), "qwen2": (IN_STEP, {}),
    "qwen3": (IN_STEP, {}), "qwen3_moe": (IN_STEP, {}), "gemma": (IN_STEP, {}),
    "gemma2": (IN_STEP, {"sliding_window": 8}), "gemma3_text": (IN_STEP, {"sliding_window": 8}),
    "mistral": (IN_STEP, {"sliding_window": 8}), "mixtral": (IN_STEP, {}), "phi": (IN_STEP, {}),
    "phi3": (IN_STEP, {}), "gpt2": (IN_STEP, {}), "gpt_neox": (IN_STEP, {}),
    "gptj": (IN_STEP, {"rotary_dim": 4}), "gpt_oss": (IN_STEP, {}), "opt": (IN_STEP, {}),
    "bloom": (IN_STEP, {}), "falcon": (IN_STEP, {}), "mpt": (IN_STEP, {}),
    "stablelm": (IN_STEP, {}), "starcoder2": (IN_STEP, {}), "olmo2": (IN_STEP, {}),
    "cohere": (IN_STEP, {}), "granite": (IN_STEP, {}), "glm4": (IN_STEP, {}),
    "smollm3": (IN_STEP, {}), "exaone4": (IN_STEP, {}), "deepseek_v3": (IN_STEP, LATENT),
    "minicpm3": (IN_STEP, LATENT), "inkling_text": (IN_STEP, {}),
    # State-space models and hybrids.
    "nemotron_h": (IN_STEP, {}), "olmo_hybrid": (IN_STEP, {}),
    "lfm2": (IN_STEP, {"layer_types": ["conv", "full_attention"]}),
    "qwen3_next": (IN_STEP, {"layer_types": MIXED}),
    "qwen3_5_text": (IN_STEP, {"layer_types": MIXED}),
    "bamba": (IN_STEP, {"attn_layer_indices": [1]}), "falcon_h1": (IN_STEP, {}),
    "granitemoehybrid": (IN_STEP, {"layer_types": ["mamba", "attention"]}),
    "jamba": (IN_STEP, {"attn_layer_period": 2, "attn_layer_offset": 1}),
    "recurrent_gemma": (OWN, {"num_hidden_layers": 3}),
    "mamba": (OWN, {}), "mamba2": (IN_STEP, {"num_heads": 4, "head_dim": 16}),
    "falcon_mamba": (OWN, {}), "minimax": (OWN, {"layer_types": MIXED}),
    "openai-gpt": (OWN, {}), "bart": (OWN, {"forced_eos_token_id": None}), "rwkv": (ALONE, {}),
}  # fmt: skip
REFUSED = ["bert", "roberta", "xlnet"]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@functools.cache
def made(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers, about kernels that are not installed
        return tiny(kind, len(make_tokenizer()), **MODELS.get(kind, (None, {}))[1])


@pytest.mark.parametrize("kind", MODELS)
@torch.no_grad()
def test_log_probs_and_completions_are_the_model_s_own(kind, tokenizer):
    model, (way, _) = made(kind), MODELS[kind]
    opened = open_model(model)
    for width in {None, sharing_width(opened)}:
        ours = opened.log_probs(collate(ROWS, width=width))
        for row, (prompt, completion, _) in zip(ours, ROWS, strict=True):
            logits = model(torch.tensor([prompt + completion]), use_cache=False).logits[0]
            theirs = logits[len(prompt) - 1 : -1].log_softmax(-1)
            theirs = theirs[torch.arange(len(completion)), torch.tensor(completion)]
            torch.testing.assert_close(row[: len(completion)], theirs, rtol=1e-3, atol=1e-3)

    assert way_of(model) == way or not RECENT  # Mamba2's cache was read otherwise
    ours = generate(model, tokenizer, PROMPTS, temperature=0, max_new_tokens=12, batch_size=3)
    for prompt, (completion,) in zip(PROMPTS, ours, strict=True):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        model(ids, use_cache=False)  # forgets what RecurrentGemma keeps in itself
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                max_new_tokens=12, eos_token_id=1, pad_token_id=0)  # fmt: skip
        assert completion.tokens == theirs[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("kind", ["mamba", "bamba", "rwkv"])
def test_a_seeded_sample_does_not_depend_on_its_batch(kind, tokenizer):
    model, how = made(kind), {"samples": 2, "max_new_tokens": 6, "seed": 5, "top_p": 0.9}
    together = generate(model, tokenizer, PROMPTS, **how)
    for key, prompt in enumerate(PROMPTS):
        assert generate(model, tokenizer, [prompt], keys=[key], **how) == together[key : key + 1]
    assert generate(model, tokenizer, PROMPTS, **{**how, "seed": 6}) != together


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_sampled_from_is_refused_in_a_line(kind, tokenizer):
    model = tiny(kind, len(tokenizer))
    with pytest.raises(InputError, match=f"{type(model).__name__} cannot be sampled") as error:
        generate(model, tokenizer, PROMPTS)
    assert "\n" not in str(error.value)
