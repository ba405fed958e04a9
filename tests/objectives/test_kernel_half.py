"""The kernel of models that compute in bfloat16: what it keeps, what it rounds, what it copies."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from objectives import Head, future_divergence, products, token_log_probs

N, D, V = 40, 64, 1000
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]
LIKE_A_GPU = ["meta", pytest.param("cuda", marks=NEEDS_GPU)]
TF32 = 5e-3  # of log-probs; a CPU's are those of float32
FORMS = [{}, {"scale": 0.4}, {"softcap": 20.0}, {"bias": True}]


@pytest.fixture(autouse=True)
def on_any_cpu(monkeypatch):
    """Take the path of bfloat16 also on a processor that has none, which is slow and the same."""
    has = products.has_bfloat16
    always = lambda device: device.type == "cpu" or has(device)  # noqa: E731
    monkeypatch.setattr(products, "has_bfloat16", always)


def make(dtype, device="cpu", sharp=1.0, bias=False, half=True, **form):
    """Return hidden states, head and targets, half of which are the likeliest tokens."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, D, generator=generator) * sharp
    weight = torch.randn(V, D, generator=generator) / 4
    added = torch.randn(V, generator=generator).to(dtype).to(device) if bias else None
    targets = torch.randint(V, (N,), generator=generator)
    targets[::2] = (hidden @ weight.T).argmax(-1)[::2]
    head = Head(weight.to(dtype).to(device), added, half=half, **form)
    return hidden.to(dtype).to(device), head, targets.to(device)


def upstream(device="cpu"):
    return torch.linspace(-1, 2, N, dtype=torch.float64).to(device)


def dense(hidden, head, targets):
    logits = hidden @ head.weight.T
    logits = head.scale * (logits if head.bias is None else logits + head.bias)
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    return logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]


def with_gradients(function, hidden, head, dtype=None):
    """Return a function's values and the gradients of hidden states, weight and bias."""
    given = hidden, head.weight, head.bias
    leaves = [None if x is None else x.detach().to(dtype or x.dtype) for x in given]
    wanted = [x.requires_grad_() for x in leaves if x is not None]
    values = function(leaves[0], head._replace(weight=leaves[1], bias=leaves[2]))
    total = values.double() @ upstream(values.device)
    return values.detach(), torch.autograd.grad(total, wanted)


def distance(found, exact):
    """Return how far gradients are from exact ones, as a share of the largest row and of all."""
    off = found.double() - exact
    return (off.norm(dim=-1).max() / exact.norm(dim=-1).max()).item(), (
        off.norm() / exact.norm()
    ).item()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("sharp", [0.3, 1.0, 6.0])
@pytest.mark.parametrize("chunk", [3, 10, 100])
def test_values_keep_float32_and_gradients_are_bfloat16_s(device, dtype, form, sharp, chunk):
    hidden, head, targets = make(dtype, device, sharp, **form)
    values, found = with_gradients(
        lambda h, w: token_log_probs(h, w, targets, chunk_size=chunk).policy, hidden, head
    )
    expected, exact = with_gradients(lambda h, w: dense(h, w, targets), hidden, head, torch.float64)
    rounded = device == "cuda" and dtype == torch.float32
    torch.testing.assert_close(
        values.double(), expected, rtol=1e-5, atol=TF32 * sharp if rounded else 2e-5
    )
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == dtype
        row, whole = distance(one, other)
        assert row < (1.5e-2 if rounded else 1e-2)
        assert whole < (1.2e-2 if rounded else 8e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.cpu
def test_values_on_a_cpu_are_those_of_a_model_in_float32_to_the_bit(dtype):
    hidden, head, targets = make(dtype)
    reference = make(dtype, sharp=0.9)[:2]
    half, full = (
        token_log_probs(hidden, head._replace(half=x), targets, reference=reference, lam=1.0,
                        entropy=True, collision=True, chunk_size=7)
        for x in (True, False)
    )  # fmt: skip
    for one, other in zip(half, full, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("device", DEVICES)
def test_a_sure_target_has_a_gradient_as_small_as_what_it_leaves(device):
    """1 - p of a rounded p would be 0 or 1 / 256."""
    weight = torch.zeros(V, D)
    weight[3, 0] = 1.0
    hidden = torch.zeros(4, D)
    hidden[:, 0] = torch.tensor([9.0, 12.0, 16.0, 200.0])
    targets = torch.full((4,), 3)
    head = Head(weight.to(device), half=True)
    states = hidden.to(device).requires_grad_()
    values = token_log_probs(states, head, targets.to(device)).policy
    (found,) = torch.autograd.grad(values.sum(), states)
    leaves = (V - 1) / (V - 1 + hidden[:, 0].double().exp())
    torch.testing.assert_close(found[:3, 0].double().cpu(), leaves[:3], rtol=2e-2, atol=0)
    assert found[3].abs().max() < 1e-30


@pytest.mark.parametrize("device", DEVICES)
def test_an_improbable_target_moves_what_is_there_instead(device):
    weight = torch.zeros(V, D)
    weight[3, 0] = 1.0
    hidden = torch.zeros(1, D)
    hidden[0, 0] = 150.0
    states = hidden.to(device).requires_grad_()
    targets = torch.tensor([5], device=device)
    values = token_log_probs(states, Head(weight.to(device), half=True), targets).policy
    (found,) = torch.autograd.grad(values.sum(), states)
    assert values.item() == pytest.approx(-150, rel=1e-5)
    assert found[0, 0].item() == pytest.approx(-1, rel=1e-2)


@pytest.mark.parametrize("device", DEVICES)
def test_no_tokens_have_no_gradients(device):
    hidden, head, targets = make(torch.bfloat16, device)
    states, weight = hidden[:0].requires_grad_(), head.weight.requires_grad_()
    token_log_probs(states, head, targets[:0]).policy.sum().backward()
    assert states.grad.shape == (0, D)
    assert not weight.grad.any()


class Copies(TorchDispatchMode):
    """Counts tensors of a head's size that are made, by dtype."""

    def __init__(self):
        super().__init__()
        self.made = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else [out]:
            same = function._schema.returns and function._schema.returns[0].alias_info is not None
            if isinstance(x, torch.Tensor) and x.numel() == V * D and not same:
                self.made[x.dtype] = self.made.get(x.dtype, 0) + 1
        return out


def copies(dtype, device, half=True, trained=False):
    hidden, head, targets = make(dtype, device, half=half)
    other = make(dtype, device, sharp=0.9)[0]
    hidden.requires_grad_(), head.weight.requires_grad_(trained)
    again = head._replace(weight=head.weight.detach() if trained else head.weight)
    with Copies() as forward:
        out = token_log_probs(
            hidden, head, targets, reference=(other, again), lam=1.0, entropy=True, chunk_size=6
        )
    with Copies() as backward:
        out.policy.sum().backward()
    return [forward.made, backward.made]


@pytest.mark.parametrize("device", LIKE_A_GPU)
@pytest.mark.parametrize("half", [True, False])
def test_a_frozen_head_of_bfloat16_is_not_copied_on_a_gpu(device, half):
    assert copies(torch.bfloat16, device, half) == [{}, {}]


@pytest.mark.parametrize("device", LIKE_A_GPU)
def test_a_trained_head_of_float32_is_copied_once_on_a_gpu(device):
    forward, backward = copies(torch.float32, device, trained=True)
    # Its gradient is that of 40 tokens, of which 24 are taken at a time.
    assert (forward, backward) == ({}, {torch.bfloat16: 1, torch.float32: 1})


@pytest.mark.cpu
def test_on_a_cpu_a_frozen_head_is_copied_once_for_policy_and_reference():
    assert copies(torch.bfloat16, "cpu") == [{torch.float32: 1}, {}]


@pytest.mark.parametrize("device", LIKE_A_GPU)
def test_nor_is_it_for_the_divergence_from_the_future(device):
    hidden, head, _ = make(torch.bfloat16, device)
    hidden.requires_grad_()
    with Copies() as made:
        found = future_divergence(hidden, head, (hidden.detach(), head), 0.7, chunk_size=8)
        found.sum().backward()
    assert hidden.grad.dtype == torch.bfloat16
    assert made.made == {}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["kl", "js"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_divergence_keeps_its_values_and_rounds_its_gradients(device, dtype, kind, form):
    hidden, head, _ = make(dtype, device, **form)
    states = make(dtype, device, sharp=0.8)[0]

    def divergence(h, w):
        other = head._replace(weight=head.weight.to(w.weight.dtype), half=w.half)
        other = other._replace(bias=None if w.bias is None else head.bias.to(w.weight.dtype))
        return future_divergence(h, w, (states.to(h.dtype), other), 0.7, kind=kind, chunk_size=9)

    values, found = with_gradients(divergence, hidden, head)
    expected, exact = with_gradients(divergence, hidden, head._replace(half=False), torch.float64)
    rounded = device == "cuda" and dtype == torch.float32
    torch.testing.assert_close(values.double(), expected, rtol=1e-4, atol=TF32 if rounded else 1e-5)
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == dtype
        assert distance(one, other)[1] < 1e-2
