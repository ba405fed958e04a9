"""Weights that a model's files lack, have too many of, or have in other shapes, by kind of file."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaForSequenceClassification

from objectives.errors import InputError
from tests.helpers.architectures import tiny
from train.builtin.base_model import make_tokenizer
from train.models.load import load_model

SIZE = len(make_tokenizer())
NORM, EMBEDDING = "model.norm.weight", "model.embed_tokens.weight"


def written(folder: Path, **options) -> Path:
    sharded = {"max_shard_size": "10KB"} if options.pop("sharded", False) else {}
    settings = {"tie_word_embeddings": False, **options}
    tiny("llama", SIZE, **settings).save_pretrained(folder, **sharded)
    make_tokenizer().save_pretrained(folder)
    return folder


def with_weights(file: Path, change) -> None:
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def with_settings(folder: Path, **changes) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def prefixed(prefix):
    return lambda own: {prefix + name: value for name, value in own.items()}


def without(*names):
    return lambda own: {name: value for name, value in own.items() if name not in names}


def more(name, value):
    return lambda own: {**own, name: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (prefixed("module."), r"lack the weights lm_head\.weight and 20 more; they have "
         r"module\.lm_head\.weight and 20 more"),
        (prefixed("base_model.model."), r"lack .* 20 more; they have base_model\.model\.lm_head"),
        (without("lm_head.weight"), r"lack the weights lm_head\.weight:"),
        (without(NORM), r"lack the weights model\.norm\.weight:"),
        (more("score.weight", torch.ones(2, 32)), r"have the weights score\.weight, which "
         "LlamaForCausalLM has not"),
        (more("model.layers.0.self_attn.q_proj.bias", torch.ones(32)),
         r"have the weights model\.layers\.0\.self_attn\.q_proj\.bias, which"),
        (more(NORM, torch.ones(31)), r"shape of model\.norm\.weight: \(31,\) and \(32,\)"),
    ],
)  # fmt: skip
def test_other_weights_are_refused_by_the_first_name_and_their_number(tmp_path, change, message):
    written(tmp_path)
    with_weights(tmp_path / "model.safetensors", change)
    with pytest.raises(InputError, match=message) as error:
        load_model(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (1, r"have the weights model\.layers\.1\.input_layernorm\.weight and 8 more, which"),
        (3, r"lack the weights model\.layers\.2\.input_layernorm\.weight and 8 more:"),
    ],
)
@pytest.mark.parametrize("sharded", [False, True])
def test_settings_of_more_or_fewer_layers_are_refused(tmp_path, layers, message, sharded):
    written(tmp_path, sharded=sharded)
    with_settings(tmp_path, num_hidden_layers=layers)
    with pytest.raises(InputError, match=message):
        load_model(str(tmp_path))


def test_a_classifier_that_is_called_a_causal_model_is_refused(tmp_path):
    written(tmp_path)
    LlamaForSequenceClassification(tiny("llama", SIZE).config).save_pretrained(tmp_path)
    with_settings(tmp_path, architectures=["LlamaForCausalLM"], tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"have the weights score\.weight, which"):
        load_model(str(tmp_path))


def test_shards_that_lack_or_add_a_weight_are_refused(tmp_path):
    whole = written(tmp_path / "whole", sharded=True)
    shards = sorted(path.name for path in whole.glob("model-*.safetensors"))
    assert len(shards) > 2
    load_model(str(whole))
    less = shutil.copytree(whole, tmp_path / "less")
    found = next(name for name in shards if NORM in load_file(whole / name))
    with_weights(less / found, lambda own: {**without(NORM)(own), "other": torch.ones(1)})
    with pytest.raises(InputError, match=r"lack the weights model\.norm.*; they have other"):
        load_model(str(less))
    gone = shutil.copytree(whole, tmp_path / "gone")
    (gone / shards[1]).unlink()
    with pytest.raises(InputError, match=shards[1]):
        load_model(str(gone))


@torch.no_grad()
def test_what_is_left_out_on_purpose_is_no_loss(tmp_path):
    """Tied heads, tied heads that are there all the same, heads alone, buffers of old files."""
    expected = tiny("llama", SIZE, tie_word_embeddings=True)
    embedding = expected.get_input_embeddings().weight.clone()
    frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq"
    changes = {
        "tied": lambda own: own,
        "both": more("lm_head.weight", embedding),
        "head": lambda own: {**without(EMBEDDING)(own), "lm_head.weight": embedding},
        "buffer": more(frequencies, torch.ones(4)),
        "bare": lambda own: {name.removeprefix("model."): v for name, v in own.items()},
    }
    ids = torch.arange(8)[None]
    for name, change in changes.items():
        folder = written(tmp_path / name, tie_word_embeddings=True)
        with_weights(folder / "model.safetensors", change)
        assert torch.equal(load_model(str(folder))[0](ids).logits, expected(ids).logits), name


def test_pickles_are_not_read(tmp_path):
    written(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"pickles \(pytorch_model\.bin\), which are not read"):
        load_model(str(tmp_path))


TOKENS = ["<unk>", "<s>", "</s>", *"▁0123456789+-*/=#;"]
GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm", "model.layers": "blk",
}  # fmt: skip


def write_gguf(path: Path, change, layers: int) -> None:
    file = gguf.GGUFWriter(str(path), "llama")
    for name, size in {
        "block_count": layers, "context_length": 128, "embedding_length": 32,
        "feed_forward_length": 48, "head_count": 4, "head_count_kv": 2, "vocab_size": len(TOKENS),
        "rope_dimension_count": 8, "layer_norm_rms_eps": 1e-6,
    }.items():  # fmt: skip
        getattr(file, f"add_{name}")(size)
    file.add_tokenizer_model("llama")
    file.add_token_list(TOKENS)
    file.add_token_scores([0.0] * len(TOKENS))
    file.add_token_types([1] * len(TOKENS))
    for number, name in enumerate(("unk", "bos", "eos")):
        getattr(file, f"add_{name}_token_id")(number)
    weights = {}
    for name, value in tiny("llama", len(TOKENS), tie_word_embeddings=False).state_dict().items():
        for ours, theirs in GGUF_NAMES.items():
            name = name.replace(ours, theirs)
        weights[name] = value.numpy()
    for name, value in change(weights).items():
        file.add_tensor(name, value)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


@pytest.mark.parametrize(
    ("change", "layers", "message"),
    [
        (more("rope_freqs.weight", np.ones(4, np.float32)), 2, None),
        (without("output.weight"), 2, None),  # tied
        (without("blk.0.ffn_up.weight"), 2, r"lack the weights model\.layers\.0\.mlp\.up_proj"),
        (more("blk.0.attn_q.bias", np.ones(32, np.float32)), 2, r"have .* blk\.0\.attn_q\.bias,"),
        (more("output_norm.weight", np.ones(31, np.float32)), 2, r"shape of model\.norm\.weight"),
        (prefixed("x."), 2, r"lack .* and 20 more; they have x\.blk\.0\.attn_k.* and 20 more"),
        (dict, 1, r"have the weights blk\.1\.attn_k\.weight and 8 more, which"),
        (dict, 3, r"lack the weights model\.layers\.2\.input_layernorm\.weight and 8 more"),
    ],
)
def test_gguf_files_are_held_to_the_same(tmp_path, change, layers, message):
    path = tmp_path / "own.gguf"
    write_gguf(path, change, layers)
    if message is None:
        model = load_model(str(path))[0]
        norm = tiny("llama", len(TOKENS), tie_word_embeddings=False).model.norm.weight
        assert torch.equal(model.model.norm.weight, norm)
        return
    with pytest.raises(InputError, match=message):
        load_model(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: dict(list(own.items())[1:]), r"adapter_model\.safetensors lacks base_model"),
        (dict, None),
        (lambda own: {}, "lacks .* and 41 more"),
        (lambda own: {name.removeprefix("base_model.model."): v for name, v in own.items()},
         r"lacks .* 41 more; it has model\.layers.* 41 more, for which there is no place"),
        (more("base_model.model.model.layers.7.mlp.up_proj.lora_A.weight", torch.ones(2, 128)),
         r"has base_model\.model\.model\.layers\.7.*, for which there is no place"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_adapters_are_held_to_the_same(tmp_path, change, message):
    model = get_peft_model(load_model("builtin")[0], LoraConfig(target_modules="all-linear", r=2))
    model.peft_config["default"].base_model_name_or_path = "builtin"
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    with_weights(tmp_path / "adapter_model.safetensors", change)
    if message is None:
        load_model(str(tmp_path))
        return
    with pytest.raises(InputError, match=message):
        load_model(str(tmp_path))
