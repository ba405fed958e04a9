"""Weights written for another process."""

import torch
from safetensors.torch import load_file

from eval.engines import weight_files
from eval.engines.weight_files import write_weights


def read(folder):
    return {k: v for path in folder.glob("*.safetensors") for k, v in load_file(path).items()}


def test_each_writing_takes_the_place_of_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "SHARD", 100)  # bytes: about two tensors a file
    many = {f"w{n}": torch.randn(5, 4) for n in range(5)} | {"count": torch.tensor([3])}
    write_weights(tmp_path, many.items())
    assert len(list(tmp_path.iterdir())) > 2
    found = read(tmp_path)
    assert found.keys() == many.keys()
    assert all(torch.equal(found[name], many[name]) for name in many)
    few = {"w0": torch.randn(2, 2), "count": torch.tensor([4])}
    write_weights(tmp_path, few.items(), torch.bfloat16)
    found = read(tmp_path)
    assert found.keys() == few.keys()
    assert torch.equal(found["w0"], few["w0"].bfloat16())
    assert found["count"].dtype == torch.int64


def test_what_shares_memory_is_written_apart(tmp_path):
    whole = torch.arange(6.0).view(2, 3)
    write_weights(tmp_path, [("tied", whole), ("head", whole), ("view", whole.T)])
    found = read(tmp_path)
    assert torch.equal(found["tied"], found["head"])
    assert torch.equal(found["view"], whole.T)
