"""Computed memory against steps of the recipes' models at full size, simulated without storage."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import simulated_step
from tests.helpers.paper_models import NAMES

ROOT, GIB = Path(simulated_step.__file__).parents[2], 2**30


@pytest.mark.parametrize("rank", [[], ["16"]], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("name", NAMES)
def test_the_peak_of_a_recipe_is_that_of_its_step(name, rank, capsys):
    command = [sys.executable, "-m", simulated_step.__name__, name, *rank]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    computed, simulated = map(int, done.stdout.split())
    trained = f"LoRA of rank {rank[0]}" if rank else "all weights"
    sizes = f"computed {computed / GIB:.2f} GiB, simulated {simulated / GIB:.2f} GiB"
    with capsys.disabled():
        print(f"\n{name}, {trained}: {sizes}")
    assert computed == pytest.approx(simulated, rel=0.1)
