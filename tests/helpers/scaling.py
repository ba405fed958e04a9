"""Time and memory of a training step and of a start, one point at a time, for the benchmarks."""

import json
import random
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from eval.problems.arithmetic import sample_problems, solve
from objectives.kernel import TokenLogProbs
from tests.helpers.started_runs import session, started
from train.config.settings import Config
from train.data.tokenized import TokenizedData
from train.data.tokens import FlatTokens, Tokens
from train.devices.peak_memory import CLEAR_PEAK, peak_memory, reset_peak_memory
from train.models.language_model import open_model
from train.run.setup import Setup, set_up

CPU = torch.device("cpu")
PROMPT = 0.25  # of a trajectory's tokens
STEPS, ENOUGH = 3, 2.0  # measured at most, and seconds after which there is no other
PROBLEMS = 1000  # different ones of the built-in task, joined to make as many prompts as needed


class Measured(NamedTuple):
    seconds: float  # of a processor, so that what else the machine does hardly counts
    bytes: int  # at the peak, above what was there before


def measure_step(
    *,
    length: int,
    vocabulary: int,
    trajectories: int,
    dense: bool = False,
    tokens_at_once: int | None = None,
    model: str | None = None,
) -> Measured:
    """Measure an fpa step of the harness on a random Llama of 2 layers, d = 64, or on `model`.

    length: tokens of a trajectory, prompt included. vocabulary: tokens that occur, of the random
    model all there are. dense: with the logits of all tokens at once, by autograd, in the place of
    the kernel. tokens_at_once: of a micro-batch, by default all. model: a folder or .gguf file.
    Seconds are the least of the steps after the first; memory is above model and optimizer.
    """
    torch.set_num_threads(1)
    kernel = (
        patch("train.learning.policies.token_log_probs", dense_log_probs)
        if dense
        else nullcontext()
    )
    with TemporaryDirectory() as folder, kernel:
        setup = _set_up(Path(folder), length, vocabulary, trajectories, tokens_at_once, model)
        run = started(setup, "fpa", Path(folder) / "run")
        run.step(1)  # allocates the optimizer's state
        before, seconds = _resident(), []
        reset_peak_memory(CPU)
        while len(seconds) < STEPS and sum(seconds) < ENOUGH:
            begun = time.process_time()
            run.step(2 + len(seconds))
            seconds.append(time.process_time() - begun)
        return Measured(min(seconds), peak_memory(CPU) - before)


def _set_up(
    folder: Path,
    length: int,
    vocabulary: int,
    trajectories: int,
    tokens_at_once: int | None,
    model: str | None,
) -> Setup:
    torch.manual_seed(0)
    write_rows(folder / "few.jsonl", 8)  # of which nothing is used
    config = Config(
        model=model or "builtin", data=str(folder / "few.jsonl"), batch_size=trajectories,
        rows="all", tokens_per_microbatch=tokens_at_once or trajectories * length,
        eval_problems="none", reference_cache="off", dtype="float32", device="cpu",
    )  # fmt: skip
    prompt = int(PROMPT * length)
    ids = torch.randint(vocabulary, (trajectories, length)).tolist()
    encoded = TokenizedData(
        FlatTokens.of(Tokens(row[:prompt], row[prompt:]) for row in ids),
        reward=torch.tensor([1.0, -1.0]).repeat(trajectories)[:trajectories],
        group=torch.arange(trajectories),
        weight=torch.ones(trajectories),
        pairs=None,
        left_out={},
        max_tokens=length,
    )
    setup = replace(set_up(config), data=encoded)
    if model:
        return setup
    sizes = {
        "vocab_size": vocabulary, "hidden_size": 64, "intermediate_size": 256,
        "num_hidden_layers": 2, "num_attention_heads": 4, "tie_word_embeddings": True,
        "max_position_embeddings": length,
    }  # fmt: skip
    base = open_model(LlamaForCausalLM(LlamaConfig(**sizes)).eval().requires_grad_(False))
    return replace(setup, base=replace(setup.base, model=base))


def dense_log_probs(
    hidden, head, targets, *, reference, origin, lam, entropy, collision
) -> TokenLogProbs:
    """Return what the kernel returns, by the logits of all tokens and autograd."""
    assert origin is None
    assert entropy
    assert not collision

    def picked(log_probs):
        return log_probs.gather(-1, targets[:, None])[:, 0]

    logits = head.logits(hidden)
    policy = logits.log_softmax(-1)
    with torch.no_grad():
        before = reference[1].logits(reference[0])
        known = picked(before.log_softmax(-1))
        ahead = picked(((1 + lam) * logits - lam * before).log_softmax(-1))
        spread = -(policy.exp() * policy).sum(-1)
    return TokenLogProbs(picked(policy), known, ahead, spread)


def write_rows(path: Path, count: int) -> None:
    """Write graded rows of the built-in task as JSON Lines, eight of a prompt."""
    problems = [(problem[:-1], solve(problem)) for problem in sample_problems(PROBLEMS, 0)]
    chance = random.Random(0)
    with path.open("w") as lines:
        for number in range(count):
            group = number // 8
            one, other = problems[group % PROBLEMS], problems[group // PROBLEMS % PROBLEMS]
            gold = one[1] + other[1]
            answer = gold + chance.choice([0, 0, 0, 1, 2, 3, 4, 5])
            row = {
                "prompt": f"{one[0]}+{other[0]}=",
                "completion": f"{one[1]}+{other[1]}={answer};#{answer}",
                "reward": 1.0 if answer == gold else -1.0,
                "group_id": group,
            }
            lines.write(json.dumps(row) + "\n")


def measure_start(data: Path, cache: Path) -> Measured:
    """Measure a start of fpa with the built-in model: from the file to what step 1 trains on.

    The model and its tokenizer are read once before, so that they do not count.
    """
    torch.set_num_threads(1)
    set_up(Config(eval_problems="none"))
    config = Config(data=str(data), eval_problems="none", token_cache=str(cache))
    before = _resident()
    reset_peak_memory(CPU)
    begun = time.process_time()
    run = session(set_up(config), "fpa", cache / "run")
    run.data.draw(1)
    return Measured(time.process_time() - begun, peak_memory(CPU) - before)


def can_measure() -> bool:
    """Say whether the peak of memory can be reset on this system."""
    return CLEAR_PEAK.exists()


def _resident() -> int:
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    return int(line.split()[1]) * 1024
