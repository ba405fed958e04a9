"""The paper's three models in small: random weights, and tokenizers with their habits."""

import functools
import json
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from train.config.recipe import READY, recipe_names

NAMES = recipe_names()
CHARACTERS = [*" \n0123456789+-*/=#;.,:{}\\?", *"abcdefghijklmnopqrstuvwxyzPTU"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADERS = (  # begins with the token that the tokenizer adds by itself
    "{{ bos_token }}{% for m in messages %}<|header|>{{ m.role }}\n{{ m.content }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|header|>assistant\n{% endif %}"
)
# Beginning (added by the tokenizer itself), end, padding, other special tokens, chat template.
HABITS = {
    "qwen2.5-math-7b": (
        None, "<|endoftext|>", "<|endoftext|>", ["<|im_start|>", "<|im_end|>"], CHATML,
    ),
    "deepseek-math-7b": ("<|begin|>", "<|end|>", None, [], None),
    "llama-3.2-3b-instruct": ("<|begin_of_text|>", "<|eot_id|>", None, ["<|header|>"], HEADERS),
}  # fmt: skip


@functools.cache
def tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of one token per character with the habits of the named model's."""
    begin, end, pad, others, template = HABITS[name]
    special = list(dict.fromkeys(filter(None, (end, begin, pad, *others, "<unk>"))))
    words = {text: number for number, text in enumerate([*special, *CHARACTERS])}
    made = Tokenizer(WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = Split(Regex("."), "isolated")
    made.decoder = Fuse()
    if begin:
        made.post_processor = TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, words[begin])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=begin, eos_token=end, pad_token=pad, unk_token="<unk>",
        additional_special_tokens=others, chat_template=template,
    )  # fmt: skip


def tiny_config(name: str, **sizes):
    """Return the named model's configuration with small sizes and the same ratio of heads."""
    full = json.loads((READY / f"{name}.json").read_text())
    groups = full["num_attention_heads"] // full["num_key_value_heads"]
    heads = groups * (4 if groups == 1 else 2)
    small = {
        "num_hidden_layers": 2, "num_attention_heads": heads,
        "num_key_value_heads": heads // groups,
        "hidden_size": 8 * heads, "head_dim": 8, "intermediate_size": 48, "vocab_size": 96,
        "bos_token_id": tokenizer(name).bos_token_id, "eos_token_id": tokenizer(name).eos_token_id,
        "initializer_range": 0.2,
    }  # fmt: skip
    return AutoConfig.for_model(**{**full, **small, **sizes})


def tiny_model(name: str, **sizes):
    """Return the named model in small, with random weights in float32."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(tiny_config(name, **sizes), dtype=torch.float32).eval()


def write_tiny_model(name: str, folder: Path) -> Path:
    """Write the named model in small and its tokenizer in Hugging Face layout."""
    tiny_model(name).save_pretrained(folder)
    tokenizer(name).save_pretrained(folder)
    return folder
