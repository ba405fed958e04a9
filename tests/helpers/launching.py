"""Commands in several processes, as `accelerate launch` starts them."""

import os
import subprocess
import sys
from pathlib import Path

LAUNCH = {
    "replicated": ["--multi_gpu"],
    "sharded": ["--use_fsdp", "--fsdp_version", "2"],
    "sharded, kept": ["--use_fsdp", "--fsdp_version", "2", "--fsdp_reshard_after_forward", "false"],
}


def launched(kind, *words, count=2):
    """Run a module in processes on the CPU; return its status and what it printed."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCH[kind]]
    launcher += ["--num_processes", str(count), "--main_process_port", "0", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*launcher, *map(str, words)], cwd=Path(__file__).parents[2], env=environment,
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr
