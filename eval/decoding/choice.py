"""Which way of decoding computes what a model does: found by trying, once for each model."""

import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from eval.context import known_tokens
from eval.decoding.drawing import Sampler, check_finite
from eval.decoding.in_step import decode_in_step
from eval.decoding.own_generate import decode_by_generate
from eval.rounding import distance, same_but_for_rounding
from objectives.errors import InputError


class Way(NamedTuple):
    """How to decode."""

    decode: Callable[..., Tensor]
    rows: int | None = None  # at most so many at once

    @property
    def pads(self) -> bool:
        """Whether prompts of several lengths may share a batch."""
        return self.decode is decode_in_step


IN_STEP, OWN, ALONE = Way(decode_in_step), Way(decode_by_generate), Way(decode_by_generate, 1)
FIRST, SECOND, ADDED = 7, 3, 3  # tokens of two prompts, and of what follows them

_found: weakref.WeakKeyDictionary[PreTrainedModel, Way] = weakref.WeakKeyDictionary()


def way_of(model: PreTrainedModel) -> Way:
    """Return how to decode with a model in evaluation mode: by our loop, or its own `generate`.

    By our loop, where our cache holds what the model needs of earlier tokens: its steps are
    compared with plain passes over the same tokens. Raises InputError where neither gives the
    same, as of a model that looks at later tokens, and where its logits are not finite.
    """
    if model not in _found:
        _found[model] = _find(model)
    return _found[model]


def check_decoding(model: PreTrainedModel) -> None:
    """Raise InputError for a model that cannot be sampled from."""
    way_of(model)


@torch.inference_mode()
def _find(model: PreTrainedModel) -> Way:
    ids = (torch.arange(FIRST + SECOND + 2 * ADDED) * 37 % known_tokens(model)).split(
        [FIRST, SECOND, ADDED, ADDED]
    )
    one, other, after_one, after_other = (part.tolist() for part in ids)
    # Prompts of several lengths, one of them twice: padded, and read once, as far as may be.
    rows = [(one, after_one), (other, after_other), (one, after_other)]
    why = ""
    with torch.autocast(model.device.type, enabled=False):
        plain = torch.stack([_plain(model, *row) for row in rows])
        check_finite(plain)
        for way, some in ((IN_STEP, slice(3)), (OWN, slice(0, 3, 2)), (ALONE, slice(1))):
            forced = _Forced([added for _, added in rows[some]], model.device)
            try:
                way.decode(
                    model, [p for p, _ in rows[some]], forced, ADDED + 1, [], lambda done: None
                )
                ours = torch.stack(forced.logits, 1)
                same = same_but_for_rounding(ours, plain[some], model.dtype)
            except Exception as error:  # whatever a model does with a cache that it cannot use
                why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
                continue
            if same:
                return way
            why = f"they differ by {distance(ours, plain[some]):.2g} of the logits' spread"
    raise InputError(
        f"{type(model).__name__} cannot be sampled from: with what it keeps of earlier tokens it "
        f"gives other logits than from all of them at once, or it looks at later ones ({why})"
    )


class _Forced(Sampler):
    """Draws given tokens, whatever the logits, which it keeps."""

    def __init__(self, tokens: Sequence[list[int]], device: torch.device):
        super().__init__(0, 1, None)
        self.tokens = torch.tensor([[*row, 0] for row in tokens], device=device)
        self.logits: list[Tensor] = []

    def draw(self, logits: Tensor, rows: Tensor, step: int) -> Tensor:
        self.logits.append(logits.clone())
        return self.tokens[rows, step]


def _plain(model: PreTrainedModel, prompt: list[int], added: list[int]) -> Tensor:
    """Return the logits (tokens, vocabulary) after a prompt and each token added to it."""
    ids = torch.tensor([prompt + added], device=model.device)
    return model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 :]
