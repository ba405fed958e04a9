"""Trajectories as the gradient diagnostics want them, and their log-probs by a plain forward."""

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

# Of a prompt and its completion; where others than the policy wrote some of the completion's,
# also which of them count.
TokenIds = (
    tuple[Sequence[int], Sequence[int]] | tuple[Sequence[int], Sequence[int], Sequence[bool] | None]
)


class Trajectories(NamedTuple):
    """B rows of L input tokens, T places of tokens that count in completions."""

    input_ids: Tensor  # (B, L) right-padded
    position: Tensor  # (B, T) in L of the token before, which predicts the target; 0 in padding
    targets: Tensor  # (B, T) ids of the tokens that count; 0 in padding
    mask: Tensor  # (B, T) bool: False in padding

    def rows(self, index: Tensor | slice) -> "Trajectories":
        """Return the rows at `index`, without the columns that only the others needed."""
        mask = self.mask[index]
        position = torch.where(mask, self.position[index], 0)
        width = int(mask.sum(-1).max()) if mask.numel() else 0
        length = int(position.max()) + 1 if position.numel() else 1
        return Trajectories(
            self.input_ids[index, :length],
            position[:, :width],
            self.targets[index, :width],
            mask[:, :width],
        )

    def to(self, device: torch.device | str) -> "Trajectories":
        return Trajectories(*(x.to(device) for x in self))


def learnt(row: TokenIds) -> list[int]:
    """Return the ids of a completion that count."""
    return [row[1][place - len(row[0])] for place in _places(row)]


def _places(row: TokenIds) -> list[int]:
    start, count = len(row[0]), len(row[1])
    kept = row[2] if len(row) == 3 and row[2] is not None else [True] * count
    return list(compress(range(start, start + count), kept))


def pack(tokens: Sequence[TokenIds]) -> Trajectories:
    """Pad token ids on the right.

    Raises ValueError for no rows, and for a row whose prompt or completion has no tokens.
    """
    if not tokens:
        raise ValueError("no trajectories to pack")
    places = [_places(row) for row in tokens]
    for number, (row, counted) in enumerate(zip(tokens, places, strict=True)):
        if not len(row[0]) or not counted:
            side = "completion" if len(row[0]) else "prompt"
            raise ValueError(f"trajectory {number} has a {side} without tokens")
    whole = [[*row[0], *row[1]] for row in tokens]
    ids, target = _padded(whole), _padded(places)
    mask = torch.arange(target.shape[1]) < torch.tensor([len(own) for own in places])[:, None]
    position = torch.where(mask, target - 1, 0)
    targets = torch.where(mask, ids.gather(1, target), 0)
    # The last token of the longest row predicts nothing.
    return Trajectories(ids[:, :-1], position, targets, mask)


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    length = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])


def completion_log_probs(
    model: nn.Module, trajectories: Trajectories, parameters: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Return log π(y_t), (B, T), 0 in padding, differentiable in every way that torch knows.

    The kernel of `objectives` saves memory by a hand-written backward pass, which torch.func
    cannot batch; this is the same number by log_softmax at the completions' positions, in
    float32 (float64 for float64 logits).

    model: a causal model, called as `model(input_ids=...)`, that returns logits (B, L, V) or an
    object that has them as `.logits`, as Hugging Face's do. No attention mask is passed: padding
    is on the right, where no completion token looks.
    parameters: values by name to use in place of the model's own, tied weights together.
    """
    options: dict[str, object] = {"input_ids": trajectories.input_ids}
    if hasattr(model, "config"):
        options["use_cache"] = False
    output = model(**options) if parameters is None else functional_call(
        model, dict(parameters), (), options, tie_weights=True
    )  # fmt: skip
    logits = getattr(output, "logits", output)
    index = trajectories.position[..., None].expand(-1, -1, logits.shape[-1])
    logits = logits.gather(1, index)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_probs = logits.log_softmax(-1).gather(-1, trajectories.targets[..., None]).squeeze(-1)
    return torch.where(trajectories.mask, log_probs, 0.0)
