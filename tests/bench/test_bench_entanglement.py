"""How much faster entanglement is than a loop of backward passes, on 256 built-in pairs.

`pytest tests/bench/test_bench_entanglement.py --benchmark-only`; the ratio is in `extra_info`.
"""

import functools
import time

import pytest
import torch

from diagnostics.entanglement.gradients import by_backward
from diagnostics.entanglement.gram import pair_grams, split_weights
from diagnostics.entanglement.overlap import token_overlap
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import pack
from objectives import pair_rollouts
from train.data.table import read_table
from train.data.tokenized import encode
from train.models.load import load_model
from train.probes.pairs import drawn_pairs

PAIRS = 256


@functools.cache
def looped(draw, parts):
    """Return what `pair_grams` is given, how many pairs differ, a loop's result and seconds."""
    model, tokenizer = load_model("builtin")
    encoded = encode(read_table("builtin"), tokenizer, 128)
    if draw == "drawn":
        tokens = drawn_pairs(encoded, PAIRS, 0).tokens
    else:
        rows = pair_rollouts(encoded.reward, encoded.group)[:PAIRS].flatten().tolist()
        tokens = [encoded.tokens[row] for row in rows]
    trajectories = pack(tokens)
    sides = list(zip(tokens[::2], tokens[1::2], strict=True))
    overlaps = [token_overlap(w.completion, x.completion) for w, x in sides]
    weights = split_weights(trajectories, overlaps)
    if parts == "whole":
        weights = weights.sum(1, keepdim=True)
    arguments = (model, trajectories, weights, select_parameters(model))
    different = len({str(side) for side in sides})
    return arguments, different, *timed(loop, *arguments)


def loop(model, trajectories, weights, parameters):
    grams = []
    for pair in range(0, len(weights), 2):
        vectors = []
        for row in (pair, pair + 1):
            one = trajectories.rows(slice(row, row + 1))
            weight = weights[row : row + 1, :, : one.mask.shape[1]]
            gradients = by_backward(model, one, weight, parameters)
            vectors.append(torch.cat([g[0].flatten(1) for _, g in gradients], 1))
        both = torch.cat(vectors)
        grams.append(both @ both.T)
    return torch.stack(grams)


def timed(function, *arguments, **options):
    start = time.perf_counter()
    grams = function(*arguments, **options)
    return grams, time.perf_counter() - start


@pytest.mark.parametrize("route", ["layer", "vmap"])
@pytest.mark.parametrize("parts", ["whole", "split"])
@pytest.mark.parametrize("draw", ["drawn", "first"])
def test_entanglement_of_builtin_pairs(benchmark, route, parts, draw):
    """`drawn` at random, nearly all different, or the `first` of the data, where many are equal.

    `whole`: one backward pass per trajectory; `split`: one each for shared and distinct.
    """
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    arguments, different, expected, seconds = looped(draw, parts)
    # Of vmap the least memory that is about as fast.
    options = {"route": route, "pairs_at_once": 4 if route == "vmap" else None}
    found, fast = benchmark.pedantic(timed, (pair_grams, *arguments), options, rounds=2)
    scale = expected.abs().amax((1, 2), keepdim=True)
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-4)
    benchmark.extra_info |= {
        "ratio": seconds / fast,
        "different_pairs": different,
        "threads": torch.get_num_threads(),
    }
