"""The log-prob kernel against a dense computation."""

import functools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from objectives import Head, products, token_log_probs

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2}


def make(n=13, d=8, vocabulary=31, dtype=torch.float64, bias=False, seed=0, **head):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    head = Head(random(vocabulary, d), random(vocabulary) if bias else None, **head)
    targets = torch.randint(vocabulary, (n,), generator=generator)
    return random(n, d), head, targets


def dense_logits(hidden, head):
    hidden, weight = hidden.double(), head.weight.double()
    logits = hidden @ weight.T
    if head.bias is not None:
        logits = logits + head.bias.double()
    logits = logits * head.scale
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    return logits


def dense(hidden, head, targets):
    return dense_logits(hidden, head).log_softmax(-1).gather(-1, targets[:, None])[:, 0]


def gradients(function, hidden, head, upstream):
    inputs = [
        x.detach().requires_grad_() for x in (hidden, head.weight, head.bias) if x is not None
    ]
    weight, *bias = inputs[1:]
    values = function(inputs[0], head._replace(weight=weight, bias=bias[0] if bias else None))
    return values, torch.autograd.grad((values * upstream).sum(), inputs)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(
    "head",
    [{}, {"bias": True}, {"scale": 0.3}, {"softcap": 2.0},
     {"bias": True, "scale": 1.7, "softcap": 3.0}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize(("n", "chunk"), [(1, 4), (13, 4), (13, 13), (12, 5), (7, 100), (5, 1)])
def test_chunked_is_dense_in_values_and_gradients(dtype, head, n, chunk):
    hidden, head, targets = make(n=n, dtype=dtype, **head)
    upstream = torch.linspace(-1, 1, n, dtype=torch.float64)
    ours, our_gradients = gradients(
        lambda h, w: token_log_probs(h, w, targets, chunk_size=chunk).policy, hidden, head, upstream
    )
    theirs, their_gradients = gradients(lambda h, w: dense(h, w, targets), hidden, head, upstream)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    # Values are computed in float32 from what the inputs hold: only gradients are rounded to them.
    value_close = {"rtol": 1e-5, "atol": 1e-5} if dtype != torch.float64 else close
    torch.testing.assert_close(ours.double(), theirs.double(), **value_close)
    for one, other in zip(our_gradients, their_gradients, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other.double(), **close)


@pytest.mark.parametrize("chunk", [3, 50])
def test_reference_future_and_entropy_are_dense(chunk):
    hidden, head, targets = make()
    other, other_head, _ = make(d=5, seed=1, bias=True)
    out = token_log_probs(
        hidden, head, targets, reference=(other, other_head), lam=1.5, entropy=True,
        collision=True, chunk_size=chunk,
    )  # fmt: skip
    policy, reference = dense_logits(hidden, head), dense_logits(other, other_head)
    future = (2.5 * policy - 1.5 * reference).log_softmax(-1)
    torch.testing.assert_close(out.future, future.gather(-1, targets[:, None])[:, 0])
    for met, whole in (
        (out.collision, policy.log_softmax(-1)),
        (out.future_collision, future),
    ):
        torch.testing.assert_close(met, whole.exp().square().sum(-1).log())
    torch.testing.assert_close(out.reference, dense(other, other_head, targets))
    entropy = torch.distributions.Categorical(logits=policy).entropy()
    torch.testing.assert_close(out.entropy, entropy)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_future_is_the_policy_itself_at_the_reference_and_without_extrapolation(dtype):
    hidden, head, targets = make(dtype=dtype)
    same = token_log_probs(hidden, head, targets, reference=(hidden, head), lam=1.0)
    assert torch.equal(same.future, same.policy)
    assert torch.equal(same.reference, same.policy)
    other = make(dtype=dtype, seed=1)[:2]
    still = token_log_probs(hidden, head, targets, reference=other, lam=0.0)
    assert torch.equal(still.future, still.policy)


def test_gradient_check():
    hidden, head, targets = make(n=5, vocabulary=7, bias=True, softcap=2.0, scale=0.5)
    inputs = [x.requires_grad_() for x in (hidden, head.weight, head.bias)]

    def function(h, w, b):
        return token_log_probs(h, Head(w, b, 0.5, 2.0), targets, chunk_size=2).policy

    assert torch.autograd.gradcheck(function, inputs)


def test_tied_head_gets_the_gradients_of_both_uses():
    embedding = make(d=6, vocabulary=11)[1].weight.requires_grad_()
    ids, targets = torch.arange(9) % 11, torch.arange(1, 10) % 11

    def gradient(log_probs):
        return torch.autograd.grad(log_probs.sum(), embedding)[0]

    hidden = torch.tanh(embedding[ids])
    ours = gradient(token_log_probs(hidden, Head(embedding), targets, chunk_size=4).policy)
    theirs = gradient(dense(torch.tanh(embedding[ids]), Head(embedding), targets))
    torch.testing.assert_close(ours, theirs)


def test_only_the_policy_takes_gradients():
    hidden, head, targets = make()
    other, other_head, _ = make(seed=1)
    hidden.requires_grad_(), other.requires_grad_(), other_head.weight.requires_grad_()
    out = token_log_probs(
        hidden, head, targets, reference=(other, other_head), lam=1.0, entropy=True, collision=True
    )
    assert out.policy.requires_grad
    assert not any(x.requires_grad for x in out[1:])
    out.policy.sum().backward()
    assert other.grad is None
    assert other_head.weight.grad is None


class Largest(TorchDispatchMode):
    """Records the most elements that any tensor made under it has."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for x in made if isinstance(made, tuple | list) else [made]:
            if isinstance(x, torch.Tensor):
                self.elements = max(self.elements, x.numel())
        return made


def test_no_tensor_is_larger_than_a_chunk_of_logits_or_the_head():
    n, d, vocabulary, chunk = 256, 4, 97, 8
    hidden, head, targets = make(n=n, d=d, vocabulary=vocabulary, dtype=torch.float32)
    hidden.requires_grad_(), head.weight.requires_grad_()
    with Largest() as largest:
        out = token_log_probs(
            hidden, head, targets, reference=make(n, d, vocabulary, torch.float32)[:2],
            lam=1.0, entropy=True, chunk_size=chunk,
        )  # fmt: skip
        out.policy.sum().backward()
    assert largest.elements <= max(chunk * vocabulary, vocabulary * d, n * d)


def test_autocast_does_not_lower_its_precision():
    hidden, head, targets = make(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = token_log_probs(hidden, head, targets).policy
    assert inside.dtype == torch.float32
    assert torch.equal(inside, token_log_probs(hidden, head, targets).policy)


def test_works_under_functional_gradients():
    hidden, head, targets = make()
    ours = torch.func.grad(lambda h: token_log_probs(h, head, targets, chunk_size=4).policy.sum())
    theirs = torch.func.grad(lambda h: dense(h, head, targets).sum())
    torch.testing.assert_close(ours(hidden), theirs(hidden))


def test_no_tokens_give_no_log_probs():
    hidden, head, targets = make(n=0)
    hidden.requires_grad_()
    out = token_log_probs(hidden, head, targets, entropy=True)
    assert out.policy.shape == out.entropy.shape == (0,)
    out.policy.sum().backward()
    assert hidden.grad.shape == (0, 8)


def test_what_does_not_fit_is_refused():
    hidden, head, targets = make()
    with pytest.raises(ValueError, match="hidden must be"):
        token_log_probs(hidden[:, :3], head, targets)
    with pytest.raises(ValueError, match="targets"):
        token_log_probs(hidden, head, targets[:4])
    with pytest.raises(ValueError, match="lam"):
        token_log_probs(hidden, head, targets, lam=1.0)
    with pytest.raises(ValueError, match="lam"):
        token_log_probs(hidden, head, targets, reference=(hidden, head), lam=-1.0)
    with pytest.raises(ValueError, match="vocabulary"):
        token_log_probs(hidden, head, targets, reference=(hidden, Head(head.weight[:5])))


@pytest.mark.parametrize("with_reference", [True, False])
def test_the_future_from_another_origin_than_the_reference(with_reference):
    hidden, head, targets = make()
    reference, origin = (make(seed=seed)[:2] for seed in (1, 2))
    out = token_log_probs(
        hidden, head, targets, lam=0.7, origin=origin,
        reference=reference if with_reference else None, chunk_size=4,
    )  # fmt: skip
    ahead = 1.7 * dense_logits(hidden, head) - 0.7 * dense_logits(*origin)
    expected = ahead.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(out.future, expected)
    if with_reference:
        torch.testing.assert_close(out.reference, dense(*reference, targets))
    else:
        assert out.reference is None


def test_an_origin_without_lambda_is_refused():
    hidden, head, targets = make()
    with pytest.raises(ValueError, match="an origin is there to extrapolate from: give lam"):
        token_log_probs(hidden, head, targets, origin=(hidden, head))


class Precisions(TorchDispatchMode):
    """Records how float32 products are computed on CUDA and on a CPU, and of which dtypes."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket.__name__ in ("mm", "addmm", "addmm_"):
            self.seen.add((*(one.fp32_precision for one in MATMULS), args[-1].dtype))
        return function(*args, **(kwargs or {}))


MATMULS = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("around", ["none", "ieee", "tf32", "medium"])
def test_products_are_float32_whatever_surrounds(half, around, request, monkeypatch):
    for matmul in MATMULS:
        request.addfinalizer(functools.partial(setattr, matmul, "fp32_precision", "none"))
        matmul.fp32_precision = around if around != "medium" else "none"
    if around == "medium":  # of bfloat16 on a CPU that has tiles
        request.addfinalizer(functools.partial(torch.set_float32_matmul_precision, "highest"))
        torch.set_float32_matmul_precision("medium")
    before = [matmul.fp32_precision for matmul in MATMULS]
    monkeypatch.setattr(products, "has_bfloat16", lambda device: True)
    hidden, head, targets = make(dtype=torch.float32, half=half)
    hidden.requires_grad_(), head.weight.requires_grad_()
    with Precisions() as forward:
        found = token_log_probs(hidden, head, targets).policy
    with Precisions() as backward:
        found.sum().backward()
    cuda = "tf32" if half else "ieee"
    assert forward.seen == {(cuda, "ieee", torch.float32)}
    assert backward.seen == {(cuda, "ieee", torch.bfloat16 if half else torch.float32)}
    assert [matmul.fp32_precision for matmul in MATMULS] == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast_around_the_backward_pass_changes_nothing(dtype):
    def gradient(around):
        hidden, head, targets = make(dtype=dtype, bias=True)
        inputs = hidden.requires_grad_(), head.weight.requires_grad_(), head.bias.requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around):
            token_log_probs(hidden, head, targets, chunk_size=5).policy.sum().backward()
        return [x.grad for x in inputs]

    for one, other in zip(gradient(True), gradient(False), strict=True):
        assert torch.equal(one, other)


def test_second_derivatives_are_refused_whatever_they_go_through():
    hidden, head, targets = make(bias=True)
    inputs = [x.requires_grad_() for x in (hidden, *head[:2])]
    upstream = torch.ones(13, dtype=torch.float64, requires_grad=True)

    def log_probs(h, w, b):
        return token_log_probs(h, Head(w, b), targets, chunk_size=4).policy

    again = pytest.raises(RuntimeError, match="token_log_probs has no second derivatives")
    for first in inputs:
        (gradient,) = torch.autograd.grad(log_probs(*inputs), first, upstream, create_graph=True)
        for second in (*inputs, upstream):
            with again:
                torch.autograd.grad(gradient.square().sum(), second, retain_graph=True)
    with again:  # a penalty on the gradient's norm, trained by
        (gradient,) = torch.autograd.grad(log_probs(*inputs).sum(), hidden, create_graph=True)
        (gradient.square().sum() - log_probs(*inputs).sum()).backward()

    def slope(h, w):
        return torch.func.grad(lambda x: log_probs(x, w, head.bias).sum())(h).square().sum()

    for argnum in (0, 1):
        with again:
            torch.func.grad(slope, argnum)(hidden.detach(), head.weight.detach())


def test_a_graph_of_gradients_that_is_not_differentiated_gives_them_as_they_are():
    hidden, head, targets = make()
    hidden.requires_grad_()
    plain, kept = (
        torch.autograd.grad(
            token_log_probs(hidden, head, targets).policy.sum(), hidden, create_graph=graph
        )[0]
        for graph in (False, True)
    )
    assert torch.equal(plain, kept)


PADDED = 5


def padded(head, value=-math.inf):
    """Return a head with tokens more, which have no probability."""
    weight = torch.cat([head.weight, torch.ones(PADDED, head.weight.shape[1]).to(head.weight)])
    bias = head.weight.new_zeros(len(head.weight)) if head.bias is None else head.bias
    return head._replace(weight=weight, bias=torch.cat([bias, bias.new_full((PADDED,), value)]))


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("who", ["both", "policy", "other"])
@pytest.mark.parametrize("origin", [False, True])
def test_a_padded_vocabulary_is_as_if_cut_off(lam, scale, who, origin):
    hidden, head, targets = make(bias=True, scale=scale)
    states, theirs, _ = make(d=6, seed=1)
    wide = padded(head) if who != "other" else padded(head, 1e-3)
    wide_theirs = padded(theirs) if who != "policy" else padded(theirs, 1e-3)
    role = "origin" if origin else "reference"
    upstream = torch.linspace(-1, 1, len(hidden), dtype=torch.float64)

    def computed(head, theirs):
        def policy(hidden, head):
            out.append(token_log_probs(
                hidden, head, targets, lam=lam, entropy=True, chunk_size=4,
                **{role: (states, theirs)},
            ))  # fmt: skip
            return out[0].policy

        out = []
        _, found = gradients(policy, hidden, head, upstream)
        return out[0], found

    ours, our_gradients = computed(wide, wide_theirs)
    cut, cut_gradients = computed(head, theirs)
    if who == "other" and lam == 0:
        torch.testing.assert_close(ours.future, ours.policy)
    else:
        torch.testing.assert_close(ours.future, cut.future)
    if who != "other":  # else the policy has the tokens
        torch.testing.assert_close(ours.policy, cut.policy)
        torch.testing.assert_close(ours.entropy, cut.entropy)
        grown = [
            x if x.dim() == 2 and len(x) == len(hidden) else x[:-PADDED] for x in our_gradients
        ]
        torch.testing.assert_close(grown, list(cut_gradients))
        assert not our_gradients[1][-PADDED:].any()
        assert not our_gradients[2][-PADDED:].any()
    if who != "policy" and not origin:
        torch.testing.assert_close(ours.reference, cut.reference)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"softcap": 0.0}, "head's softcap must be above 0 and finite, got 0.0"),
        ({"softcap": -2.0}, "head's softcap"),
        ({"softcap": math.inf}, "head's softcap"),
        ({"scale": 0.0}, "head's scale"),
        ({"scale": math.nan}, "head's scale"),
        ({"lam": math.inf}, "lam must be >= 0 and finite, got inf"),
        ({"lam": math.nan}, "lam must be"),
        ({"lam": -0.1}, "lam must be"),
        ({"chunk_size": 0}, "chunk_size must be 1 or more, got 0"),
        ({"chunk_size": -3}, "chunk_size must be"),
        ({"target": -100}, "targets must be ids of a vocabulary of 31, got -100"),
        ({"target": 31}, "of 31, got 31"),
        ({"target": -1}, "of 31, got -1"),
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_refused(changed, message):
    hidden, head, targets = make()
    form = {name: changed.pop(name) for name in ("softcap", "scale") if name in changed}
    if "target" in changed:
        targets[3] = changed.pop("target")
    given = {"lam": 1.0, **changed}
    heads = [head._replace(**form), head]
    for own, theirs in (heads, heads[::-1]) if form else (heads,):
        with pytest.raises(ValueError, match=message):
            token_log_probs(hidden, own, targets, reference=(hidden, theirs), **given)
