"""How turns end in the templates of well-known families, and that generation stops there."""

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from eval.generation import generate
from eval.turn_end import TurnEnd, stop_ids, turn_end
from tests.helpers.templates import FAMILIES, tokenizer

ENDS = {
    "chatml": ("<|im_end|>", "\n"),
    "chatml with a default system turn": ("<|im_end|>", "\n"),
    "qwen3": ("<|im_end|>", "\n"),
    "qwq": ("<|im_end|>", "\n"),
    "deepseek r1": ("<｜end▁of▁sentence｜>", ""),
    "deepseek": ("<｜end▁of▁sentence｜>", ""),
    "gemma": ("<end_of_turn>", "\n"),
    "llama 2": (" </s>", ""),
    "llama 3": ("<|eot_id|>", ""),
    "phi": ("<|end|>", "\n<|endoftext|>"),
    "harmony": ("<|return|>", ""),
    "mistral": ("</s>", ""),
    "marked": ("<|im_end|>", "\n"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_turn_ends_as_the_template_writes_it(name):
    reader = tokenizer(name)
    text, after = ENDS[name]
    assert turn_end(reader) == TurnEnd(text, after, reader.convert_tokens_to_ids(text.strip()))


def test_a_template_may_write_no_end_fail_or_not_be_there():
    assert turn_end(tokenizer("bare")) == TurnEnd("", "\n", None)
    reader = tokenizer("chatml")
    reader.chat_template = "{{ raise_exception('no') }}"
    assert turn_end(reader) is None
    reader.chat_template = None
    assert turn_end(reader) is None


def test_an_end_that_is_no_special_token_is_found():
    reader = tokenizer("bare")
    reader.add_tokens(["<end>", "\n\n"])
    reader.chat_template = "{% for m in messages %}{{ m['content'] }}\n\n<end>\n{% endfor %}"
    assert turn_end(reader) == TurnEnd("\n\n<end>", "\n", reader.convert_tokens_to_ids("<end>"))


def model_of(reader, eos):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(reader), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=None, initializer_range=1.0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    model.generation_config = GenerationConfig(eos_token_id=eos)
    return model


def test_generation_stops_at_every_end_that_is_known():
    reader = tokenizer("chatml")
    end, eos = (reader.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>"))
    model = model_of(reader, [5, 6])
    assert stop_ids(model, reader) == sorted([5, 6, end, eos])
    assert stop_ids(model_of(reader, 5), reader) == sorted([5, end, eos])
    assert stop_ids(model_of(tokenizer("bare"), None), tokenizer("bare")) == []

    def ends(sampled):
        return {completion.tokens[-1] for completion in sampled if not completion.truncated}

    model = model_of(reader, None)
    (sampled,) = generate(model, reader, ["1+1"], samples=400, max_new_tokens=100)
    assert ends(sampled) == {end, eos}
    assert not any("<|im_end|>" in completion.text for completion in sampled)


def test_a_model_without_any_end_samples_to_the_limit():
    reader = tokenizer("bare")
    (sampled,) = generate(model_of(reader, None), reader, ["1+1"], samples=3, max_new_tokens=7)
    assert [len(completion.tokens) for completion in sampled] == [7] * 3
    assert all(completion.truncated for completion in sampled)


def test_every_family_is_looked_at():
    assert set(ENDS) | {"bare"} == set(FAMILIES)
