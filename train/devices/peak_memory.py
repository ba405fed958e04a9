"""The highest use of memory, of the GPU or the process."""

import resource
from pathlib import Path

import torch

CLEAR_PEAK = Path("/proc/self/clear_refs")  # Linux: a 5 written here resets VmHWM

STATUS = Path("/proc/self/status")


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
