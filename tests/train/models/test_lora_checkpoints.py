"""What a LoRA run leaves: an adapter that peft reads, that is merged, and that is trained on."""

import json
import warnings
from importlib.metadata import version

import huggingface_hub.constants
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from objectives.errors import InputError
from tests.helpers.started_runs import session, trained
from tests.train.models.test_lora import CONFIG, logits
from train import merge
from train.__main__ import main
from train.models.identity import model_digest
from train.models.load import load_model
from train.models.lora import load_adapter
from train.store.opened import load_checkpoint, open_run

pytestmark = pytest.mark.cpu


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(CONFIG)


@pytest.fixture(scope="module")
def finished(setup, tmp_path_factory):
    """Return a finished run's folder, its last checkpoint and its policy."""
    folder = tmp_path_factory.mktemp("lora") / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # peft asks the hub, and warns, where it is let
        run, _ = trained(session(setup, "fpa", folder), vars(CONFIG))
    return folder, folder / "checkpoints" / "step-4", run.policies.policy.model


@torch.no_grad()
def test_a_checkpoint_loads_in_peft_and_here(setup, finished):
    folder, checkpoint, policy = finished
    assert not (checkpoint / "model.safetensors").exists()
    settings = json.loads((checkpoint / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "builtin"
    assert (settings["r"], settings["lora_alpha"]) == (3, 5)
    expected = logits(policy)
    assert (expected - logits(setup.base.model.model)).abs().max() > 1e-2
    in_peft = PeftModel.from_pretrained(load_model("builtin")[0], str(checkpoint))
    assert torch.equal(logits(in_peft), expected)
    again = load_checkpoint(open_run(folder), setup.base.model.model, setup.base.tokenizer)
    assert torch.equal(logits(again), expected)
    assert not any(p.requires_grad for p in again.parameters())
    model, tokenizer = load_model(str(checkpoint))
    torch.testing.assert_close(logits(model), expected, rtol=1e-4, atol=1e-4)
    assert tokenizer.get_vocab() == setup.base.tokenizer.get_vocab()
    assert type(model) is type(setup.base.model.model)
    assert not getattr(model, "peft_config", None)


@torch.no_grad()
def test_merged_it_is_a_plain_model(finished, tmp_path, call):
    _, checkpoint, policy = finished
    status, out, _ = call(merge.main, ["--model", checkpoint, "--out", "whole"])
    assert (status, out) == (0, "whole\n")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    torch.testing.assert_close(logits(model), logits(policy), rtol=1e-4, atol=1e-4)
    made = json.loads((tmp_path / "whole" / "made_with.json").read_text())
    assert made["command"] == f"python -m train.merge --model {checkpoint} --out whole"
    assert made["versions"]["peft"] == version("peft")
    assert made["digests"] == {"base": model_digest(str(checkpoint))}
    status, _, err = call(merge.main, ["--model", checkpoint, "--out", "whole"])
    assert (status, err.count("\n")) == (2, 1)
    assert "whole already holds files" in err
    words = ["--model", checkpoint, "--out", "half", "--dtype", "bfloat16"]
    assert call(merge.main, words)[0] == 0
    half, whole = (tmp_path / n / "model.safetensors" for n in ("half", "whole"))
    assert 1.9 * half.stat().st_size < whole.stat().st_size
    status, _, err = call(merge.main, ["--model", "builtin"])
    assert status == 2
    assert "--model builtin: name the folder of an adapter" in err


def test_training_goes_on_from_a_checkpoint_merged(finished, tmp_path, call):
    _, checkpoint, policy = finished
    words = "--objective dpo --steps 2 --batch-size 8 --eval-problems none"
    status, _, err = call(main, f"{words} --lora-rank 2 --model {checkpoint} --out next")
    assert (status, err.count("\n")) == (2, 1)
    assert f"merge it first (python -m train.merge --model {checkpoint}" in err
    assert call(merge.main, f"--model {checkpoint} --out {tmp_path / 'whole'}")[0] == 0
    whole = ["--model", tmp_path / "whole"]
    assert call(main, [*words.split(), "--lora-rank", "2", *whole, "--out", "next"])[0] == 0
    last = tmp_path / "next" / "checkpoints" / "step-2"
    # What peft reads is what was trained.
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    with torch.no_grad():
        start, end = logits(policy), logits(load_model(str(last))[0])
        in_peft = logits(PeftModel.from_pretrained(base, str(last)))
    torch.testing.assert_close(in_peft, end, rtol=1e-4, atol=1e-4)
    assert 0 < (end - start).abs().max() < 0.2
    # All parameters of what an adapter made can be trained as well.
    assert call(main, f"{words} --model {checkpoint} --out full")[0] == 0
    assert (tmp_path / "full" / "checkpoints" / "step-2" / "model.safetensors").exists()


def test_a_base_is_found_from_another_folder(finished, tmp_path, monkeypatch):
    _, checkpoint, policy = finished
    model, tokenizer = load_model("builtin")
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "work" / "models" / "base")
    runs = tmp_path / "work" / "runs"
    runs.mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    expected = logits(policy)
    for number, name in enumerate(["models/base", "../../models/base"]):
        folder = copied(checkpoint, runs / str(number), base_model_name_or_path=name)
        with torch.no_grad():
            found = logits(load_model(str(folder))[0])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def copied(checkpoint, folder, **changes):
    """Return a copy of a checkpoint with another adapter_config.json."""
    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **changes}))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_model_name_or_path": None}, r"its adapter_config\.json names no base model"),
        ({"base_model_name_or_path": "./gone"}, r"the adapter's base: \./gone: no model folder"),
        ({"r": 4}, "its adapter cannot be merged into its base model"),
        ({"peft_type": "NONE_SUCH"}, "its adapter cannot be merged into its base model"),
    ],
)
def test_spoilt_adapters_get_one_line(finished, tmp_path, changes, message):
    folder = copied(finished[1], tmp_path / "spoilt", **changes)
    with pytest.raises(InputError, match=message) as error:
        load_model(str(folder))
    assert "\n" not in str(error.value)


def test_an_adapter_of_another_model_or_a_part_of_one_is_refused(setup, finished, tmp_path):
    base = setup.base.model.model
    with pytest.raises(InputError, match="is not an adapter of LlamaForCausalLM"):
        load_adapter(base, copied(finished[1], tmp_path / "rank", r=4))
    folder = copied(finished[1], tmp_path / "cut")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="the adapter cannot be read"):
        load_adapter(base, folder)
    with pytest.raises(InputError, match="its adapter cannot be merged"):
        load_model(str(folder))
    weights.unlink()
    with pytest.raises(InputError, match=r"has no adapter_model\.safetensors \(pickles"):
        load_model(str(folder))


def test_an_adapter_on_the_hub_is_to_be_downloaded(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--someone--adapter"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    (kept / "snapshots").mkdir()
    copied(finished[1], kept / "snapshots" / ("0" * 40))
    with pytest.raises(InputError, match="hf download someone/adapter --local-dir FOLDER"):
        load_model("someone/adapter")
