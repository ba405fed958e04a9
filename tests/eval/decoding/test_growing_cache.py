"""The growing cache holds what transformers' own does."""

import torch
from transformers import LlamaConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from eval.decoding.growing_cache import GrowingLayer, growing_cache


def test_the_same_as_a_layer_that_is_copied_at_every_token():
    torch.manual_seed(0)
    ours, theirs, rows = GrowingLayer(), DynamicLayer(), 5
    for tokens in [7, *[1] * 60, 3, *[1] * 40]:
        new = [torch.randn(rows, 2, tokens, 4) for _ in range(2)]
        for mine, own in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(mine, own)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert ours.get_mask_sizes(1) == theirs.get_mask_sizes(1)
        if ours.get_seq_length() in (20, 70):  # rows that are finished go
            index = torch.tensor([0, 2, 3] if rows == 5 else [2, 0])
            for layer in (ours, theirs):
                layer.reorder_cache(index)
            rows = len(index)
    assert rows == 2


def test_it_is_copied_seldom():
    layer, places = GrowingLayer(), set()
    for _ in range(1000):
        layer.update(*(torch.zeros(1, 1, 1, 1) for _ in range(2)))
        places.add(layer.keys.data_ptr())
    assert len(places) < 12


def test_layers_that_do_not_grow_are_as_they_were():
    config = LlamaConfig(num_hidden_layers=2)
    assert [type(layer) for layer in growing_cache(config).layers] == [GrowingLayer] * 2
    config.sliding_window, config.layer_types = 8, ["sliding_attention", "full_attention"]
    kinds = [type(layer) for layer in growing_cache(config).layers]
    assert kinds == [DynamicSlidingWindowLayer, GrowingLayer]
