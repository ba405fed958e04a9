"""What a run costs: tokens, floating-point operations, seconds and memory."""

import resource
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

CLEAR_PEAK = Path("/proc/self/clear_refs")  # Linux: a 5 written here resets VmHWM
STATUS = Path("/proc/self/status")


@dataclass
class Cost:
    """Grows while a run trains; `as_dict` is what `result.json` keeps of it."""

    parameters: int  # as `matrix_parameters` counts them
    tokens_trained: int = 0  # of prompts and completions, forward and backward
    tokens_frozen: int = 0  # forward alone: reference, anchors, origin, KTO's mismatched rows
    tokens_generated: int = 0  # completions sampled to be trained on, whoever sampled them
    generation_seconds: float = 0.0  # within this run
    training_seconds: float = 0.0  # of optimizer steps, sampling aside

    @property
    def flops(self) -> float:
        """Estimated operations: 6 for each parameter and token trained, 2 for each other token.

        (arXiv 2001.08361.) Attention's products of queries and keys are left out, and so is the
        reading of prompts while generating.
        """
        forward = self.tokens_frozen + self.tokens_generated
        return self.parameters * (6.0 * self.tokens_trained + 2.0 * forward)

    def as_dict(self) -> dict:
        return {**vars(self), "flops": self.flops}


def matrix_parameters(model: nn.Module) -> int:
    """Return the number of parameters that every token is multiplied by.

    All but the input embedding, from which a token only takes a row; a tied one is the head too.
    """
    total = sum(p.numel() for p in model.parameters())
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if embedding is None or (head is not None and head.weight is embedding.weight):
        return total
    return total - embedding.weight.numel()


def reset_peak_memory(device: torch.device) -> None:
    """Forget the highest use of memory so far, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR_PEAK.exists():
        try:
            CLEAR_PEAK.write_text("5")
        except OSError:
            return  # a container may forbid it: the peak is then the process's


def peak_memory(device: torch.device) -> int:
    """Return the highest use of memory in bytes: the GPU's allocations, or the resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
