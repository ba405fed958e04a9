"""A key-value cache that is not copied at every token."""

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import DynamicCache, DynamicLayer

ROOM = 32  # tokens, at least, that a layer has room for when it is copied


def growing_cache(config: PreTrainedConfig) -> DynamicCache:
    """Return an empty cache for a model of this configuration.

    Layers that attend to all that came before grow in place; others (sliding windows, recurrent
    ones) are as transformers makes them.
    """
    cache = DynamicCache(config=config)
    cache.layers = [
        GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


class GrowingLayer(DynamicLayer):
    """A layer's keys and values (rows, heads, tokens, d), with room for tokens to come.

    transformers' own layer copies all of them at every token; this one when its room is used up,
    which then becomes half as much again.
    """

    keys: Tensor
    values: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys, self._values = key_states[:, :, :0], value_states[:, :, :0]
        self.keys, self.values = self._keys, self._values
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args, **kwargs
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values of new tokens; return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.keys.shape[2]
        after = before + key_states.shape[2]
        if after > self._keys.shape[2]:
            room = max(after + ROOM, after * 3 // 2)
            self._keys, self._values = _copied(self.keys, room), _copied(self.values, room)
        self._keys[:, :, before:after] = key_states
        self._values[:, :, before:after] = value_states
        self.keys, self.values = self._keys[:, :, :after], self._values[:, :, :after]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows, in this order, with the room that there was."""
        if self.get_seq_length() > 0:
            length = self.keys.shape[2]
            self._keys, self._values = self._keys[beam_idx], self._values[beam_idx]
            self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]


def _copied(states: Tensor, room: int) -> Tensor:
    rows, heads, tokens, width = states.shape
    copy = states.new_empty(rows, heads, room, width)
    copy[:, :, :tokens] = states
    return copy
