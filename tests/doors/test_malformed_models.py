"""Malformed model folders and adapters get one line from every command that opens a model."""

import json

import pytest

from tests.helpers.malformed import (
    HUGE,
    SURROGATE,
    broken_binary,
    broken_json,
    changed,
    mutations,
    safetensors_headers,
    spoilers,
)
from train.models.load import BUILTIN_MODEL

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
GOOD = {name: json.loads((BUILTIN_MODEL / name).read_text()) for name in FILES}
WEIGHTS = (BUILTIN_MODEL / "model.safetensors").read_bytes()
NOT_READ = {"a text", "a number", "null", "a list"}  # of what is optional, may count as not there
SETTINGS = {
    "model_type": (None, "unknown", 3, [], {}, HUGE, SURROGATE, "bert", "t5", "clip"),
    "architectures": (3, [3], ["BertForMaskedLM"], ["LlamaForSequenceClassification"]),
    "hidden_size": (None, 0, -1, "x", 0.5, 2**70, HUGE, [], 127, 64),
    "num_attention_heads": (None, 0, -1, "x", 7, 2**70, [], True and 3),
    "num_key_value_heads": (0, -1, "x", 3, 2**70),
    "num_hidden_layers": (None, "x", 0.5, [], 7),
    "vocab_size": (None, 0, -1, "x", 0.5, 2**40, HUGE, 7, 40),
    "intermediate_size": (None, 0, -1, "x", 2**50, 100),
    "hidden_act": (None, "unknown", 3, [], {}),
    "rope_parameters": ("x", 3, {"rope_type": "unknown"}, {"rope_type": 3}),
    "quantization_config": ({"quant_method": "gptq"}, {}, 3, "x"),
    "dtype": ("float99", []),
    "tie_word_embeddings": ("x", []),
}


def cases():
    for name in FILES:
        broken = broken_json(json.dumps(GOOD[name]).encode())
        for what, content in broken.items():
            if name == "config.json" or name == "tokenizer.json" or what not in NOT_READ:
                yield f"{name} {what}", name, content
    for setting, values in SETTINGS.items():
        for value in values:
            content = changed(GOOD["config.json"], setting, to=value)
            yield f"config.json {setting} is {value!r:.20}", "config.json", content
    for what, content in {**broken_binary(WEIGHTS), **safetensors_headers()}.items():
        yield f"weights {what}", "model.safetensors", content


MODELS = list(cases())
IDS = [case[0] for case in MODELS]


@pytest.mark.parametrize(("file", "content"), [case[1:] for case in MODELS], ids=IDS)
def test_models(refused, file, content):
    refused("train.dataset_report rows.jsonl --model model", {f"model/{file}": content})


SOME = MODELS[::13]


@pytest.mark.parametrize(("file", "content"), [c[1:] for c in SOME], ids=[c[0] for c in SOME])
@pytest.mark.parametrize(
    "words",
    [
        "train --objective fpa --steps 1 --data rows.jsonl --model model",
        "train.rollouts --problems problems.jsonl --model model --out made.parquet",
        "eval --problems problems.jsonl --model model",
        "diagnostics.entanglement --data rows.jsonl --model model",
    ],
)
def test_models_of_other_commands(refused, words, file, content):
    refused(words, {f"model/{file}": content})


CONFIGS = [case for case in MODELS if case[1] == "config.json"]


@pytest.mark.parametrize("content", [c[2] for c in CONFIGS], ids=[c[0] for c in CONFIGS])
def test_configurations_of_which_memory_is_computed(answer, content):
    status, err = answer("train.memory --model model", {"model/config.json": content})
    assert (status, err[:7], err.count("\n")) in [(2, "error: ", 1), (0, "", 0)], err


STRANGE = [
    (f"{name} {what}", name, content)
    for number, name in enumerate(FILES)
    for what, content in mutations(GOOD[name], number, 40).items()
]


@pytest.mark.parametrize(("file", "content"), [c[1:] for c in STRANGE], ids=[c[0] for c in STRANGE])
def test_a_strange_model_is_used_or_refused(answer, file, content):
    spoilt = {f"model/{file}": content}
    status, err = answer("eval --problems problems.jsonl --model model --max-new-tokens 2", spoilt)
    assert status == 0 or (status, err[:7], err.count("\n")) == (2, "error: ", 1), err


ADAPTER = "run/checkpoints/step-2"
WRONG = {
    "base_model_name_or_path": (None, 3, [], {}, "", "no/such", "./none", SURROGATE),
    "peft_type": (None, 3, "LORB", []), "r": (None, 0, -1, "x", 2, 2**70),
    "lora_alpha": (None, "x", []), "target_modules": (3, ["none"], "none", {}),
    "task_type": (3,),
}  # fmt: skip
ADAPTERS = [
    *(("adapter_config.json", *case) for case in spoilers(broken_json)),
    *(("adapter_model.safetensors", *case) for case in spoilers(broken_binary)),
    *(("adapter_model.safetensors", what, lambda _, x=content: x)
      for what, content in safetensors_headers().items() if content[8:] != b"{}"),
    *(("adapter_config.json", f"{name} is {value!r:.20}",
       lambda valid, n=name, v=value: changed(json.loads(valid), n, to=v))
      for name, values in WRONG.items() for value in values),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "content"), [(c[0], c[2]) for c in ADAPTERS], ids=[" ".join(c[:2]) for c in ADAPTERS]
)
def test_adapters(refused, file, content):
    refused(f"train.merge --out made --model {ADAPTER}", {f"{ADAPTER}/{file}": content})
