"""The log-prob kernel against the dense computation: memory and time at a real vocabulary.

`pytest tests/test_bench_kernel.py --benchmark-only -s`; some minutes on a laptop. Qwen2.5-0.5B's
sizes, d = 896 and V = 151,936; KERNEL_TOKENS completion tokens (default 1,024; 4,096 needs about
20 GB for the dense side). Memory is the highest above what the inputs take.
"""

import os
import time
from pathlib import Path

import pytest
import torch

from objectives import Head, token_log_probs
from train.cost import CLEAR_PEAK, peak_memory, reset_peak_memory

WIDTH, VOCABULARY, TOKENS = 896, 151_936, int(os.environ.get("KERNEL_TOKENS", "1024"))
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
    return policy, known, ahead


def kernel(hidden, weight, other, reference, targets):
    out = token_log_probs(
        hidden, Head(weight), targets, reference=(other, Head(reference)), lam=1.0
    )
    return out.policy, out.reference, out.future


def measured(function):
    given = inputs()
    reset_peak_memory(CPU)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    started = time.perf_counter()
    out = function(*given)
    (out[2].exp().detach() * out[0]).mean().backward()
    seconds = time.perf_counter() - started
    found = [x.detach() for x in out] + [given[0].grad, given[1].grad[:1000].clone()]
    return found, seconds, peak_memory(CPU) - before


def test_kernel_against_dense(benchmark):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if not CLEAR_PEAK.exists():
        pytest.skip("the peak of memory cannot be reset on this system")
    expected, dense_seconds, dense_bytes = measured(dense)
    found, seconds, size = benchmark.pedantic(measured, (kernel,), rounds=1)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    benchmark.extra_info |= {
        "tokens": TOKENS,
        "memory ratio": size / dense_bytes,
        "time ratio": seconds / dense_seconds,
    }
    print(f"\n{TOKENS} tokens: kernel {size / 1e9:.2f} GB, {seconds:.1f} s")
    print(f"dense {dense_bytes / 1e9:.2f} GB, {dense_seconds:.1f} s")
    print(f"kernel over dense: memory {size / dense_bytes:.3f}, time {seconds / dense_seconds:.2f}")
