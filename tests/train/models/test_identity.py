"""Digests of models see what makes a model, wherever it lies, and nothing else."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from objectives.errors import InputError
from train.models.identity import loaded_digest, model_digest
from train.models.load import BUILTIN_MODEL, load_model


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copytree(BUILTIN_MODEL, tmp_path / "model"))


@pytest.fixture
def adapter(model):
    """Return the folder of an adapter on the model; its weights are not looked at."""
    folder = model.parent / "adapter"
    folder.mkdir()
    settings = {"base_model_name_or_path": str(model), "r": 2}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file({"a": torch.ones(2)}, folder / "adapter_model.safetensors")
    return folder


def test_a_copy_is_the_same_and_so_is_what_else_lies_there(model):
    own = model_digest(str(model))
    assert own == model_digest("builtin")
    for file in model.iterdir():
        os.utime(file, (1, 1))
    (model / "trainer_state.json").write_text("{}")
    save_file({"a": torch.ones(2)}, model / "trainer_state.safetensors")
    (model / "README.md").write_text("read me")
    assert model_digest(str(model)) == own
    model.rename(model.with_name("moved"))
    assert model_digest(str(model.with_name("moved"))) == own


def test_every_file_that_makes_the_model_counts(model):
    own = {model_digest(str(model))}
    files = [file for file in sorted(model.iterdir()) if file.is_file()]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in files}
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b" ")
        own.add(model_digest(str(model)))
        file.write_bytes(content)
    assert len(own) == len(files) + 1


def test_an_adapter_has_its_own_and_its_bases(adapter, model):
    own = model_digest(str(adapter))
    assert own != model_digest(str(model))
    moved = model.rename(model.with_name("moved"))
    settings = json.loads((adapter / "adapter_config.json").read_text())
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**settings, "base_model_name_or_path": str(moved)}))
    assert model_digest(str(adapter)) == own
    file.write_text(json.dumps({"base_model_name_or_path": str(moved), "r": 4}))
    assert model_digest(str(adapter)) != own
    file.write_text(json.dumps({**settings, "base_model_name_or_path": str(moved)}))
    weights = load_file(moved / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, moved / "model.safetensors")
    assert model_digest(str(adapter)) != own


def test_of_the_hub_what_is_here(monkeypatch, tmp_path, model):
    import huggingface_hub.constants

    snapshot = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(model, snapshot)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert model_digest("a/b") == model_digest("builtin")
    assert model_digest("a/c") is None
    with pytest.raises(InputError, match="no model folder there"):
        model_digest("./nowhere")


def test_of_a_loaded_model_its_weights_and_settings():
    model, _ = load_model("builtin")
    own = loaded_digest(model)
    assert own == loaded_digest(load_model("builtin")[0])
    model.config.rms_norm_eps *= 2
    assert loaded_digest(model) != own
    model.config.rms_norm_eps /= 2
    assert loaded_digest(model) == own
    model.model.norm.weight.data[0] += 1
    assert loaded_digest(model) != own
