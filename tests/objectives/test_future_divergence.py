"""The divergence of the policy from its future: dense twins, gradients, and what it may hold."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from objectives import Head, future_divergence

N, D, V = 13, 6, 29


def parts(dtype=torch.float64, **form):
    generator = torch.Generator().manual_seed(0)
    hidden, theirs = torch.randn(2, N, D, generator=generator, dtype=dtype)
    mine, other = torch.randn(2, V, D, generator=generator, dtype=dtype)
    bias = torch.randn(V, generator=generator, dtype=dtype)
    leaves = [x.requires_grad_() for x in (hidden, mine, bias)]
    return leaves, Head(mine, bias, **form), (theirs, Head(other))


def dense(hidden, head, origin, lam, kind):
    """The same by torch's own distributions over the whole vocabulary."""
    logits = head.scale * (hidden @ head.weight.T + head.bias)
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    ahead = ((1 + lam) * logits - lam * origin[0] @ origin[1].weight.T).detach()
    p, q = (torch.distributions.Categorical(logits=x) for x in (logits, ahead))
    if kind == "kl":
        return torch.distributions.kl_divergence(p, q)
    middle = torch.distributions.Categorical(probs=(p.probs + q.probs) / 2)
    halves = (torch.distributions.kl_divergence(x, middle) for x in (p, q))
    return sum(halves) / 2


@pytest.mark.parametrize("kind", ["kl", "js"])
@pytest.mark.parametrize("form", [{}, {"scale": 0.5, "softcap": 3.0}], ids=["plain", "capped"])
@pytest.mark.parametrize("chunk", [1, 5, N, None])
def test_it_is_dense_in_values_and_gradients(kind, form, chunk):
    leaves, head, origin = parts(**form)
    upstream = torch.linspace(-1, 2, N, dtype=torch.float64)
    found = future_divergence(leaves[0], head, origin, 0.7, kind=kind, chunk_size=chunk)
    expected = dense(leaves[0], head, origin, 0.7, kind)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    mine, theirs = (torch.autograd.grad(x @ upstream, leaves) for x in (found, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_by_hand():
    """Logits (0, log 2) and of the origin (0, 0), λ = 1: π = (1, 2) / 3, π̂ = (1, 4) / 5."""
    head, other = (
        Head(torch.tensor([[0.0], [x]], dtype=torch.float64)) for x in (math.log(2), 0.0)
    )
    one = torch.ones(1, 1, dtype=torch.float64)
    found = future_divergence(one, head, (one, other), 1.0)
    expected = math.log(5 / 3) / 3 + 2 / 3 * math.log(5 / 6)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_gradients_are_those_of_finite_differences_against_a_future_that_stands_still(kind):
    leaves, head, origin = parts()
    logits = (leaves[0] @ head.weight.T + head.bias).detach()
    ahead = torch.lerp(logits, origin[0] @ origin[1].weight.T, -0.7)
    # That future as the origin of itself: with λ = 1, h + (h - (2h - ahead)) = ahead.
    wide = Head(torch.eye(V, dtype=torch.float64))
    states = logits.clone().requires_grad_()
    found = future_divergence(states, wide, (2 * logits - ahead, wide), 1.0, kind=kind)
    (slope,) = torch.autograd.grad(found.sum(), states)
    step = 1e-6
    for row, column in [(0, 0), (3, 7), (12, 28)]:
        sides = []
        for sign in (1, -1):
            moved = logits.clone()
            moved[row, column] += sign * step
            sides.append(future_divergence(moved, wide, (2 * moved - ahead, wide), 1.0, kind=kind))
        difference = (sides[0] - sides[1]).sum() / (2 * step)
        assert difference.item() == pytest.approx(slope[row, column].item(), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_without_extrapolation_it_and_its_gradient_are_0(kind):
    leaves, head, origin = parts()
    at_origin = (leaves[0].detach(), head._replace(weight=head.weight.detach()))
    for place, lam in ((origin, 0.0), (at_origin, 2.0)):
        found = future_divergence(leaves[0], head, place, lam, kind=kind)
        zero = torch.zeros(N, dtype=torch.float64)
        torch.testing.assert_close(found.detach(), zero, rtol=0, atol=1e-14)
        for slope in torch.autograd.grad(found.sum(), leaves):
            torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-13)


def test_the_jensen_shannon_divergence_is_at_most_log_2():
    leaves, head, origin = parts()
    far = future_divergence(leaves[0], head, origin, 1000.0, kind="js")
    assert far.max() <= math.log(2) + 1e-12
    assert far.max() > 0.3


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_a_padded_vocabulary_is_as_if_cut_off(kind):
    leaves, head, origin = parts()
    cut = torch.arange(V) < V - 4
    short = Head(head.weight[cut], head.bias[cut])
    wanted = future_divergence(
        leaves[0], short, (origin[0], Head(origin[1].weight[cut])), 0.7, kind=kind
    )
    padded = head._replace(bias=head.bias.masked_fill(~cut, -math.inf))
    found = future_divergence(leaves[0], padded, origin, 0.7, kind=kind)
    torch.testing.assert_close(found, wanted)
    one, other = (torch.autograd.grad(x.sum(), leaves) for x in (found, wanted))
    torch.testing.assert_close(one, other)


class Largest(TorchDispatchMode):
    """Notes the most elements that any tensor made has."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else [out]:
            if isinstance(x, torch.Tensor):
                self.size = max(self.size, x.numel())
        return out


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_no_tensor_is_larger_than_a_chunk_of_logits_or_the_head(kind):
    hidden = torch.randn(64, 4, requires_grad=True)
    weight = torch.randn(100, 4, requires_grad=True)
    origin = torch.randn(64, 4), Head(torch.randn(100, 4))
    held = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda x: held.append(x.numel()) or x, lambda x: x
    )
    with Largest() as largest, hooks:
        found = future_divergence(hidden, Head(weight), origin, 0.5, kind=kind, chunk_size=8)
        kept = sum(held)  # from the forward to the backward pass
        found.sum().backward()
    assert largest.size <= 8 * 100
    assert kept <= 4 * (hidden.numel() + weight.numel())
    assert weight.grad is not None


def test_low_precision_is_computed_in_float32():
    leaves, head, origin = parts(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = future_divergence(leaves[0], head, origin, 0.7)
    assert found.dtype == torch.float32
    wide = [x.detach().float() for x in (leaves[0], head.weight, head.bias)]
    states = origin[0].float(), Head(origin[1].weight.float())
    torch.testing.assert_close(found, dense(wide[0], Head(*wide[1:]), states, 0.7, "kl"))
    assert torch.autograd.grad(found.sum(), leaves[0])[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lam": -1.0}, "lam must be >= 0"),
        ({"kind": "l2"}, "kind must be 'kl' or 'js'"),
        ({"chunk_size": 0}, "chunk_size must be 1 or more"),
        ({"hidden": torch.zeros(3, 2)}, "hidden must be"),
        ({"origin": (torch.zeros(3, D), Head(torch.zeros(V, D)))}, "origin hidden states"),
        ({"origin": (torch.zeros(N, D), Head(torch.zeros(3, D)))}, "differ in vocabulary"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    leaves, head, origin = parts()
    with pytest.raises(ValueError, match=message):
        future_divergence(
            **{"hidden": leaves[0], "head": head, "origin": origin, "lam": 1.0} | changed
        )
