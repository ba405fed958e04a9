"""The log-prob kernel against dense logits, liger-kernel and Cut Cross-Entropy: memory and time.

`pip install -e '.[bench]' && pytest tests/bench/test_bench_kernel.py --benchmark-only -s`; some
minutes on a laptop. Sizes of Qwen2.5-0.5B's head, d = 896 and V = 151,936, and of SmolLM2's;
KERNEL_TOKENS completion tokens (default 1,024; 4,096 needs about 15 GB for the dense side). Memory
is the highest above what the inputs take; time is the processor's, which other programs on the
machine disturb least. Errors are relative, in norm, against float64 on a small head.
"""

import importlib.util
import os
import time
from pathlib import Path

import pytest
import torch

from objectives import Batch, Head, dpo, token_log_probs
from train.devices.peak_memory import CLEAR_PEAK, peak_memory, reset_peak_memory

TOKENS = int(os.environ.get("KERNEL_TOKENS", "1024"))
HEADS = {"smollm2": (576, 49_152), "qwen2.5-0.5b": (896, 151_936)}
SMALL = 64, 1000  # compared with float64
LENGTH = 256  # of each completion, where they are pairs
CPU = torch.device("cpu")


def inputs(head, dtype):
    torch.manual_seed(0)
    width, vocabulary = head
    hidden, other = (torch.randn(TOKENS, width).to(dtype) for _ in range(2))
    weight = torch.randn(vocabulary, width) / width**0.5
    reference = (weight + 0.01 * torch.randn_like(weight)).to(dtype)
    targets = torch.randint(vocabulary, (TOKENS,))
    return hidden.requires_grad_(), weight.to(dtype).requires_grad_(), other, reference, targets


def picked(logits, targets):
    return logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]


def dense(hidden, weight, other, reference, targets):
    logits = hidden @ weight.T
    policy = picked(logits, targets)
    with torch.no_grad():
        before = other @ reference.T
        known = picked(before, targets)
        ahead = picked(2 * logits - before, targets)
    return (ahead.exp() * policy).mean(), policy, known, ahead


def kernel(hidden, weight, other, reference, targets):
    out = token_log_probs(
        hidden, Head(weight), targets, reference=(other, Head(reference)), lam=1.0
    )
    return (out.future.exp() * out.policy).mean(), out.policy, out.reference, out.future


def kernel_dpo(hidden, weight, other, reference, targets):
    out = token_log_probs(hidden, Head(weight), targets, reference=(other, Head(reference)))
    policy, known = out.policy.view(-1, LENGTH), out.reference.view(-1, LENGTH)
    return (dpo_loss(policy, known),)


def dense_dpo(hidden, weight, other, reference, targets):
    policy, known = picked(hidden @ weight.T, targets), picked(other @ reference.T, targets)
    return (dpo_loss(policy.view(-1, LENGTH), known.view(-1, LENGTH)),)


def dpo_loss(policy, known):
    pairs = torch.arange(len(policy)).view(2, -1).T  # first all chosen, then all rejected
    batch = Batch(mask=torch.ones_like(policy, dtype=torch.bool), reference=known, pairs=pairs)
    return dpo(policy, batch, beta=0.1).mean()


def liger_dpo(hidden, weight, other, reference, targets):
    from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss

    loss = LigerFusedLinearDPOLoss(beta=0.1, compiled=False)
    rows = (-1, LENGTH, hidden.shape[1])
    found = loss(weight, hidden.view(rows), targets.view(-1, LENGTH),
                 ref_input=other.view(rows), ref_weight=reference)  # fmt: skip
    return (found[0],)


def weighted(log_probs, other):
    """Return a loss whose gradients differ from token to token, as those of advantages do."""
    return (log_probs * other[:, 0]).sum() / len(other), log_probs


def kernel_policy(hidden, weight, other, _, targets):
    return weighted(token_log_probs(hidden, Head(weight), targets).policy, other)


def dense_policy(hidden, weight, other, _, targets):
    return weighted(picked(hidden @ weight.T, targets), other)


def cut_cross_entropy(hidden, weight, other, _, targets):
    from cut_cross_entropy import linear_cross_entropy

    options = {"reduction": "none", "impl": "torch_compile"}
    return weighted(-linear_cross_entropy(hidden, weight, targets, **options), other)


def measured(function, *kind):
    given = inputs(*kind)
    reset_peak_memory(CPU)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    started = time.process_time()
    loss, *out = function(*given)
    loss.backward()
    seconds = time.process_time() - started
    found = [x.detach() for x in (loss, *out)] + [given[0].grad, given[1].grad[:1000].clone()]
    return found, seconds, peak_memory(CPU) - before


def errors(function, exact, dtype):
    """Return how far loss, log-probs and gradients are from those of `exact` in float64."""
    wide = [
        x.detach().double().requires_grad_(x.requires_grad) if x.is_floating_point() else x
        for x in inputs(SMALL, dtype)
    ]
    loss, *out = exact(*wide)
    loss.backward()
    expected = [loss, *out, wide[0].grad, wide[1].grad]
    found, _, _ = measured(function, SMALL, dtype)
    return [float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)]


def compare(benchmark, function, other, head="qwen2.5-0.5b", dtype=torch.float32, exact=None):
    if not CLEAR_PEAK.exists():
        pytest.skip("the peak of memory cannot be reset on this system")
    if exact is not None:  # before the rest is timed: what is compiled is compiled here
        for one in (function, other):
            found = errors(one, exact, dtype)
            print(f"\n{one.__name__}, relative errors: {', '.join(f'{x:.1e}' for x in found)}")
            assert max(found) < (1e-4 if dtype == torch.float32 else 0.05)
    kind = HEADS[head], dtype
    expected, other_seconds, other_bytes = measured(other, *kind)
    found, seconds, size = benchmark.pedantic(measured, (function, *kind), rounds=1)
    if dtype == torch.float32:
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    memory, duration = size / other_bytes, seconds / other_seconds
    benchmark.extra_info |= {"tokens": TOKENS, "memory ratio": memory, "time ratio": duration}
    print(f"\n{head}, {dtype}, {TOKENS} tokens: {function.__name__}", end=" ")
    print(f"{size / 1e9:.2f} GB, {seconds:.1f} s; ", end="")
    print(f"{other.__name__} {other_bytes / 1e9:.2f} GB, {other_seconds:.1f} s; ", end="")
    print(f"memory {memory:.3f}, time {duration:.2f} times")


def test_kernel_against_dense(benchmark):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    compare(benchmark, kernel, dense)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("package", "function", "other", "exact"),
    [
        ("liger_kernel", kernel_dpo, liger_dpo, dense_dpo),
        ("cut_cross_entropy", kernel_policy, cut_cross_entropy, dense_policy),
    ],
    ids=["liger-kernel", "cut-cross-entropy"],
)
def test_kernel_against(benchmark, package, function, other, exact, head, dtype):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs pip install {package.replace('_', '-')}")
    compare(benchmark, function, other, head, dtype, exact)
