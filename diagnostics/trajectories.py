"""Trajectories as the gradient diagnostics want them, and their log-probs by a plain forward."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Trajectories(NamedTuple):
    """B rows of L input tokens, T completion positions."""

    input_ids: Tensor  # (B, L) right-padded
    position: Tensor  # (B, T) in L of the token before, which predicts the target; 0 in padding
    targets: Tensor  # (B, T) ids of the completion's tokens; 0 in padding
    mask: Tensor  # (B, T) bool: True on completion tokens

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


def pack(tokens: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Trajectories:
    """Pad (prompt, completion) token ids on the right.

    Raises ValueError for no rows, and for a row whose prompt or completion has no tokens.
    """
    if not tokens:
        raise ValueError("no trajectories to pack")
    for number, (prompt, completion) in enumerate(tokens):
        if not len(prompt) or not len(completion):
            side = "completion" if len(prompt) else "prompt"
            raise ValueError(f"trajectory {number} has a {side} without tokens")
    prompts = torch.tensor([len(prompt) for prompt, _ in tokens])
    completions = torch.tensor([len(completion) for _, completion in tokens])
    length, width = int((prompts + completions).max()), int(completions.max())
    ids = torch.tensor([[*p, *c, *[0] * (length - len(p) - len(c))] for p, c in tokens])
    offset = torch.arange(width)
    mask = offset < completions[:, None]
    position = torch.where(mask, prompts[:, None] + offset - 1, 0)
    targets = torch.where(mask, ids.gather(1, position + 1), 0)
    # The last token of the longest row predicts nothing.
    return Trajectories(ids[:, :-1], position, targets, mask)


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
