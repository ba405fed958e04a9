"""How much faster entanglement is than a loop of backward passes, on 256 built-in pairs.

`pytest tests/test_bench_entanglement.py --benchmark-only`; the ratio is in `extra_info`.
"""

import functools
import time

import pytest
import torch

from diagnostics.gram import pair_grams, split_weights
from diagnostics.overlap import token_overlap
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import pack
from objectives import pair_rollouts
from train.dataset import encode
from train.models import load_model
from train.table import read_table

PAIRS = 256


@functools.cache
def looped(parts):
    """Return what `pair_grams` is given, a loop's result, its wall and CPU seconds."""
    model, tokenizer = load_model("builtin")
    encoded = encode(read_table("builtin"), tokenizer, 128)
    pairs = pair_rollouts(encoded.reward, encoded.group)[:PAIRS]
    tokens = [encoded.tokens[row] for row in pairs.flatten().tolist()]
    trajectories = pack(tokens)
    sides = zip(tokens[::2], tokens[1::2], strict=True)
    overlaps = [token_overlap(w.completion, x.completion) for w, x in sides]
    weights = split_weights(trajectories, overlaps)
    if parts == "whole":
        weights = weights.sum(1, keepdim=True)
    arguments = (model, trajectories, weights, select_parameters(model))
    return arguments, *timed(*arguments, route="backward", pairs_at_once=1)


def timed(*arguments, **options):
    start, cpu = time.perf_counter(), time.process_time()
    grams = pair_grams(*arguments, **options)
    return grams, time.perf_counter() - start, time.process_time() - cpu


@pytest.mark.parametrize("route", ["layer", "vmap"])
@pytest.mark.parametrize("parts", ["split", "whole"])
def test_entanglement_of_builtin_pairs(benchmark, route, parts):
    """`whole`: one backward pass per trajectory; `split`: one each for shared and distinct.

    The ratio of processor time is the one to trust with one thread on a busy machine.
    """
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    arguments, expected, loop, loop_cpu = looped(parts)
    found, seconds, cpu = benchmark.pedantic(timed, arguments, {"route": route}, rounds=2)
    scale = expected.abs().amax((1, 2), keepdim=True)
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-4)
    benchmark.extra_info |= {
        "ratio": loop / seconds,
        "ratio_cpu": loop_cpu / cpu,
        "threads": torch.get_num_threads(),
    }
