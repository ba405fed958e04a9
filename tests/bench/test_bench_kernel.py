"""The log-prob kernel against the dense computation and liger-kernel's: memory and time.

`pip install -e '.[bench]' && pytest tests/bench/test_bench_kernel.py --benchmark-only -s`; some
minutes on a laptop. Qwen2.5-0.5B's sizes, d = 896 and V = 151,936; KERNEL_TOKENS completion tokens
(default 1,024; 4,096 needs about 15 GB for the dense side). Memory is the highest above what the
inputs take; time is the processor's, which other programs on the machine disturb least.
"""

import importlib.util
import os
import time
from pathlib import Path

import pytest
import torch

from objectives import Batch, Head, dpo, token_log_probs
from train.devices.peak_memory import CLEAR_PEAK, peak_memory, reset_peak_memory

WIDTH, VOCABULARY, TOKENS = 896, 151_936, int(os.environ.get("KERNEL_TOKENS", "1024"))
LENGTH = 256  # of each completion, where they are pairs
CPU = torch.device("cpu")


def inputs():
    torch.manual_seed(0)
    hidden, other = (torch.randn(TOKENS, WIDTH) for _ in range(2))
    weight = torch.randn(VOCABULARY, WIDTH) / WIDTH**0.5
    reference = weight + 0.01 * torch.randn_like(weight)
    targets = torch.randint(VOCABULARY, (TOKENS,))
    return hidden.requires_grad_(), weight.requires_grad_(), other, reference, targets


def dense(hidden, weight, other, reference, targets):
    logits = hidden @ weight.T
    policy = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    with torch.no_grad():
        before = other @ reference.T
        known = before.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
        ahead = (2 * logits - before).log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    return (ahead.exp() * policy).mean(), policy, known, ahead


def kernel(hidden, weight, other, reference, targets):
    out = token_log_probs(
        hidden, Head(weight), targets, reference=(other, Head(reference)), lam=1.0
    )
    return (out.future.exp() * out.policy).mean(), out.policy, out.reference, out.future


def kernel_dpo(hidden, weight, other, reference, targets):
    out = token_log_probs(hidden, Head(weight), targets, reference=(other, Head(reference)))
    policy, known = out.policy.view(-1, LENGTH), out.reference.view(-1, LENGTH)
    pairs = torch.arange(len(policy)).view(2, -1).T  # first all chosen, then all rejected
    batch = Batch(mask=torch.ones_like(policy, dtype=torch.bool), reference=known, pairs=pairs)
    return (dpo(policy, batch, beta=0.1).mean(),)


def liger_dpo(hidden, weight, other, reference, targets):
    from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss

    loss = LigerFusedLinearDPOLoss(beta=0.1, compiled=False)
    rows = (-1, LENGTH, WIDTH)
    found = loss(weight, hidden.view(rows), targets.view(-1, LENGTH),
                 ref_input=other.view(rows), ref_weight=reference)  # fmt: skip
    return (found[0],)


def measured(function):
    given = inputs()
    reset_peak_memory(CPU)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    started = time.process_time()
    loss, *out = function(*given)
    loss.backward()
    seconds = time.process_time() - started
    found = [x.detach() for x in (loss, *out)] + [given[0].grad, given[1].grad[:1000].clone()]
    return found, seconds, peak_memory(CPU) - before


def compare(benchmark, function, other):
    if not CLEAR_PEAK.exists():
        pytest.skip("the peak of memory cannot be reset on this system")
    expected, other_seconds, other_bytes = measured(other)
    found, seconds, size = benchmark.pedantic(measured, (function,), rounds=1)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    memory, duration = size / other_bytes, seconds / other_seconds
    benchmark.extra_info |= {"tokens": TOKENS, "memory ratio": memory, "time ratio": duration}
    print(f"\n{TOKENS} tokens: {function.__name__} {size / 1e9:.2f} GB, {seconds:.1f} s; ", end="")
    print(f"{other.__name__} {other_bytes / 1e9:.2f} GB, {other_seconds:.1f} s; ", end="")
    print(f"memory {memory:.3f}, time {duration:.2f} times")


def test_kernel_against_dense(benchmark):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    compare(benchmark, kernel, dense)


def test_dpo_against_liger(benchmark):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if importlib.util.find_spec("liger_kernel") is None:
        pytest.skip("needs pip install liger-kernel")
    compare(benchmark, kernel_dpo, liger_dpo)
