"""What is loaded: causal models alone, tokenizers with padding, rows of any length."""

import json

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GenerationConfig,
    LlamaForSequenceClassification,
    LlavaConfig,
)

from eval.generation import generate
from objectives.errors import InputError
from tests.helpers.architectures import tiny
from train.builtin.base_model import make_tokenizer
from train.data.input_rows import collate
from train.data.tokens import Tokens
from train.models.language_model import open_model
from train.models.load import load_model
from train.models.saving import write_model

SIZE = len(make_tokenizer())


@pytest.fixture
def folder(tmp_path):
    tiny("llama", SIZE).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def classifier(folder):
    LlamaForSequenceClassification(tiny("llama", SIZE).config).save_pretrained(folder)


def encoder(folder):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(vocab_size=SIZE, intermediate_size=16, **sizes)).save_pretrained(
        folder
    )


def encoder_decoder(folder):
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    sizes = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "d_model": 16}
    config = BartConfig(vocab_size=SIZE, max_position_embeddings=16, **layers, **sizes)
    BartForConditionalGeneration(config).save_pretrained(folder)


def wrapper(folder):
    LlavaConfig(architectures=["LlavaForConditionalGeneration"]).save_pretrained(folder)


def headless(folder):
    tiny("llama", SIZE).model.save_pretrained(folder)
    named = json.loads((folder / "config.json").read_text())
    named = {**named, "architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(named))


def quantised(method):
    def change(folder):
        named = json.loads((folder / "config.json").read_text())
        named["quantization_config"] = {"quant_method": method, "bits": 4, "load_in_4bit": True}
        (folder / "config.json").write_text(json.dumps(named))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (classifier, "LlamaForSequenceClassification is a classifier"),
        (encoder, "BertForMaskedLM is an encoder"),
        (encoder_decoder, "BartForConditionalGeneration is an encoder-decoder"),
        (wrapper, "is a model of images or sounds"),
        (headless, r"lack the weights lm_head\.weight"),
        *((quantised(m), rf"quantised \({m}\)") for m in ("bitsandbytes", "gptq", "awq")),
    ],
)
def test_what_is_no_causal_model_is_refused_in_a_line(folder, change, message):
    change(folder)
    with pytest.raises(InputError, match=message) as error:
        load_model(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [["eos_token"], ["pad_token"], ["pad_token", "eos_token"], []])
def test_tokenizers_stay_as_they_are_with_padding_of_their_own_or_without(folder, kept):
    tokenizer = make_tokenizer()
    for name in ("pad_token", "eos_token"):
        if name not in kept:
            setattr(tokenizer, name, None)
    if kept == ["eos_token"]:
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})  # one more than the model has
    tokenizer.save_pretrained(folder)
    before = tokenizer.special_tokens_map, tokenizer.get_vocab(), tokenizer.added_tokens_decoder
    model, loaded = load_model(str(folder))
    tokens = [Tokens([3, 4], [5, 6, 7]), Tokens([3], [4])]
    together = open_model(model).log_probs(collate(tokens))
    alone = open_model(model).log_probs(collate(tokens[1:]))
    torch.testing.assert_close(together[1:, :1], alone)
    sampled = generate(model, loaded, ["1+2=", "4"], max_new_tokens=4)
    assert all(row[0].tokens for row in sampled)
    assert before == (loaded.special_tokens_map, loaded.get_vocab(), loaded.added_tokens_decoder)


def test_a_prompt_with_a_token_beyond_the_embeddings_names_it(folder):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match=rf"prompt 1 .*'<new>' \(id {SIZE}\).*resize_token_emb"):
        generate(*load_model(str(folder)), ["1", "1<new>"], max_new_tokens=4)


def test_every_end_of_the_generation_settings_ends():
    model, tokenizer = tiny("llama", SIZE), make_tokenizer()
    (whole,) = generate(model, tokenizer, ["1+2="], temperature=0, max_new_tokens=12)
    model.generation_config.eos_token_id = [1, whole[0].tokens[2]]
    ((cut,),) = generate(model, tokenizer, ["1+2="], temperature=0, max_new_tokens=12)
    end = whole[0].tokens.index(whole[0].tokens[2])
    assert (cut.tokens, cut.truncated) == (whole[0].tokens[: end + 1], False)


def test_mpt_is_not_read_beyond_its_length():
    model = tiny("mpt", SIZE, max_seq_len=16)
    with pytest.raises(InputError, match="context of 16"):
        generate(model, make_tokenizer(), ["1+2="], max_new_tokens=13)
    assert generate(model, make_tokenizer(), ["1+2="], max_new_tokens=12)


@pytest.mark.parametrize(
    "refused", [{"temperature": 0.9}, {"temperature": 0.9, "length_penalty": 2.0}]
)
def test_settings_of_generation_that_transformers_refuses_to_write_stop_no_run(tmp_path, refused):
    model = tiny("llama", SIZE)
    model.generation_config.update(**refused, eos_token_id=[1, 4])
    before = model.generation_config.to_dict()
    write_model(model, tmp_path)
    assert model.generation_config.to_dict() == before
    written = GenerationConfig.from_pretrained(tmp_path)
    assert written.eos_token_id == [1, 4]
    assert written.temperature == (None if "length_penalty" in refused else 0.9)
