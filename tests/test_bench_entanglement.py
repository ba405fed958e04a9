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
    """Return what `pair_grams` is given, its result by a loop of backward passes, and seconds."""
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
    start = time.perf_counter()
    grams = pair_grams(*arguments, route="backward", pairs_at_once=1)
    return arguments, grams, time.perf_counter() - start


@pytest.mark.parametrize("route", ["layer", "vmap"])
@pytest.mark.parametrize("parts", ["split", "whole"])
def test_entanglement_of_builtin_pairs(benchmark, route, parts):
    """`whole`: one backward pass per trajectory; `split`: one each for shared and distinct."""
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    arguments, expected, seconds = looped(parts)
    found = benchmark.pedantic(pair_grams, arguments, {"route": route}, rounds=2)
    scale = expected.abs().amax((1, 2), keepdim=True)
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-4)
    ratio = seconds / benchmark.stats.stats.min
    benchmark.extra_info |= {"loop": seconds, "ratio": ratio, "threads": torch.get_num_threads()}
