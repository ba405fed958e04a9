"""Computed memory against steps of the recipes' models at full size, simulated without storage."""

import pytest
from transformers import AutoConfig

from tests.helpers.paper_models import NAMES
from tests.helpers.simulated_step import simulated_peak
from train.config.recipe import READY, recipe_of
from train.memory.footprint import MemoryPlan, parts, peak, shape_of

GIB = 2**30


@pytest.mark.parametrize("rank", [None, 16], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("name", NAMES)
def test_the_peak_of_a_recipe_is_that_of_its_step(name, rank, capsys):
    recipe = recipe_of(["--recipe", name])
    plan = MemoryPlan(
        tokens=recipe["tokens_per_microbatch"],
        length=recipe["max_tokens"],
        half=recipe["dtype"] == "bfloat16",
        checkpointing=recipe["gradient_checkpointing"],
        lora_rank=rank,
    )
    config = AutoConfig.from_pretrained(READY / f"{name}.json")
    computed, simulated = peak(parts(shape_of(config), plan)), simulated_peak(config, plan)
    with capsys.disabled():
        print(f"\n{name}, rank {rank}: computed {computed / GIB:.2f} GiB, "
              f"simulated {simulated / GIB:.2f} GiB")  # fmt: skip
    assert computed == pytest.approx(simulated, rel=0.1)
