"""Attention by another name computes the same, and names that cannot be are one line."""

from dataclasses import replace

import pytest

from train import Config, train
from train.__main__ import main

QUICK = Config(steps=2, batch_size=8, eval_problems="none", learning_rate=1e-3, warmup_steps=0)


def test_eager_attention_trains_as_sdpa_does(setup_of, tmp_path):
    losses = []
    for name in (None, "eager"):
        config = replace(QUICK, attention=name, out=str(tmp_path / str(name)))
        setup = setup_of(config)
        result = train("fpa", config, setup=setup)
        losses.append([line["loss"] for line in result.history])
        own = setup.base.model.model.config._attn_implementation
        assert own == (name or "sdpa")
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] != losses[1]  # they are other products


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("foo", "--attention foo: "),
        ("flex_attention", "on a CPU it has no backward pass"),
        ("someone/kernel", "kernels of the hub are code, which is not run"),
        ("flash_attention_2", "--attention flash_attention_2: "),
    ],
)
def test_mistakes_are_one_line(call, tmp_path, name, said):
    status, _, err = call(main, f"--objective dpo --steps 1 --attention {name} --device cpu")
    assert status == 2
    assert said in err
    assert err.strip().count("\n") == 0
    assert not list(tmp_path.rglob("config.json"))
