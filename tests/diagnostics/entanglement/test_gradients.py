"""Per-trajectory gradients and their inner products against plain autograd, without padding."""

import copy

import pytest
import torch

from diagnostics.entanglement import gram
from diagnostics.entanglement.gradients import by_backward, by_vmap
from diagnostics.entanglement.gram import pair_grams, split_weights
from diagnostics.entanglement.layerwise import by_layer
from diagnostics.entanglement.overlap import token_overlap
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import Trajectories, completion_log_probs, pack
from tests.helpers.tiny import NAMES, TOKENS, model, twin_gradient, twin_log_probs

ROUTES = {"vmap": by_vmap, "backward": by_backward, "layer": by_layer}
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def overlaps():
    completions = [completion for _, completion in TOKENS]
    pairs = zip(completions[::2], completions[1::2], strict=True)
    return [token_overlap(a, b) for a, b in pairs]


def splits():
    return split_weights(pack(TOKENS), overlaps()).double()


def flat(gradients):
    return torch.cat([g.flatten(2) for _, g in gradients], -1)


@pytest.mark.parametrize("name", NAMES)
def test_log_probs(name):
    ours = completion_log_probs(model(name), pack(TOKENS))
    for row, (prompt, completion) in zip(ours, TOKENS, strict=True):
        theirs = twin_log_probs(model(name), prompt, completion)
        torch.testing.assert_close(row[: len(completion)], theirs, **CLOSE)
        assert not row[len(completion) :].any()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients(name, route):
    policy, weights = model(name), splits()
    weights[..., 0] *= 0.5  # any weights will do
    parameters = select_parameters(policy)
    ours = flat(ROUTES[route](policy, pack(TOKENS), weights, parameters))
    for row, (prompt, completion) in enumerate(TOKENS):
        for part in range(2):
            weight = weights[row, part, : len(completion)]
            theirs = twin_gradient(policy, prompt, completion, weight)
            torch.testing.assert_close(ours[row, part], theirs, **CLOSE)
    assert all(p.grad is None for p in policy.parameters())


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("which", ["head", r"layers\.1\.mlp|norm", "embed"])
@pytest.mark.parametrize("name", ["llama tied", "qwen2 untied"])
def test_selected_parameters(name, which, route):
    policy, weights = model(name), splits()
    parameters = select_parameters(policy, which)
    ours = flat(ROUTES[route](policy, pack(TOKENS), weights, parameters))
    prompt, completion = TOKENS[0]
    weight = weights[0, 1, : len(completion)]
    theirs = twin_gradient(policy, prompt, completion, weight, parameters)
    torch.testing.assert_close(ours[0, 1], theirs, **CLOSE)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", NAMES)
def test_inner_products_of_the_split(name, route):
    policy, weights = model(name), splits()
    parameters = select_parameters(policy)
    grams = pair_grams(policy, pack(TOKENS), weights, parameters, route=route, pairs_at_once=2)
    assert grams.shape == (3, 4, 4)
    for pair, overlap in enumerate(overlaps()):
        (prompt, chosen), (_, rejected) = TOKENS[2 * pair : 2 * pair + 2]
        parts = [
            twin_gradient(policy, prompt, completion, mask.double())
            for completion, masks in (
                (chosen, (overlap.shared_a, overlap.distinct_a)),
                (rejected, (overlap.shared_b, overlap.distinct_b)),
            )
            for mask in masks
        ]
        twin = torch.stack(parts) @ torch.stack(parts).T
        torch.testing.assert_close(grams[pair], twin, **CLOSE)


@pytest.mark.parametrize("route", ROUTES)
def test_the_chunk_does_not_matter_and_order_is_kept(route):
    policy = model("llama tied")
    arguments = (policy, pack(TOKENS), splits(), select_parameters(policy))
    one = pair_grams(*arguments, route=route, pairs_at_once=1)
    torch.testing.assert_close(one, pair_grams(*arguments, route=route, pairs_at_once=9), **CLOSE)
    swapped = [*TOKENS[4:], *TOKENS[:4]]
    other = pair_grams(
        policy, pack(swapped), splits()[[4, 5, 0, 1, 2, 3]], arguments[3], route=route
    )
    torch.testing.assert_close(one[[2, 0, 1]], other, **CLOSE)


def test_equal_pairs_are_computed_once(monkeypatch):
    rows = torch.tensor([0, 1, 2, 3, 0, 1, 0, 1])
    weights = splits()[rows]
    weights[6, 0, 0] += 1  # the same tokens, weighed otherwise
    policy, computed = model("llama tied"), []

    def counted(model, trajectories, *arguments):
        computed.append(len(trajectories.mask) // 2)
        return by_layer(model, trajectories, *arguments)

    monkeypatch.setitem(gram.ROUTES, "layer", counted)
    parameters = select_parameters(policy)
    grams = pair_grams(policy, pack(TOKENS).rows(rows), weights, parameters)
    assert sum(computed) == 3
    for number in range(4):
        pair = slice(2 * number, 2 * number + 2)
        alone = pack(TOKENS).rows(rows[pair])
        few = weights[pair, :, : alone.mask.shape[1]]
        torch.testing.assert_close(
            grams[number], pair_grams(policy, alone, few, parameters)[0], **CLOSE
        )
    assert torch.equal(grams[0], grams[2])
    assert not torch.equal(grams[0], grams[3])


@pytest.mark.parametrize("route", ROUTES)
def test_what_stands_in_padding_does_not_matter(route):
    policy = model("qwen2 tied")
    trajectories = pack(TOKENS)
    lengths = [len(p) + len(c) for p, c in TOKENS]
    ids = torch.nn.functional.pad(trajectories.input_ids, (0, 3))
    padding = torch.arange(ids.shape[1]) >= torch.tensor(lengths)[:, None]
    dirty = Trajectories(
        ids.masked_fill(padding, 17),
        trajectories.position,
        trajectories.targets.masked_fill(~trajectories.mask, 5),
        trajectories.mask,
    )
    parameters = select_parameters(policy)
    weights = splits() + ~trajectories.mask[:, None] * 3.0
    clean = flat(ROUTES[route](policy, trajectories, splits(), parameters))
    other = flat(ROUTES[route](policy, dirty, weights, parameters))
    torch.testing.assert_close(clean, other, **CLOSE)


@pytest.mark.parametrize("route", ROUTES)
def test_frozen_parameters_and_no_grad(route):
    policy = model("llama untied")
    trajectories, parameters = pack(TOKENS), select_parameters(policy)
    before = flat(ROUTES[route](policy, trajectories, splits(), parameters))
    policy.requires_grad_(False)
    try:
        with torch.no_grad():
            after = flat(ROUTES[route](policy, trajectories, splits(), parameters))
        assert not any(p.requires_grad for p in policy.parameters())
    finally:
        policy.requires_grad_(True)
    torch.testing.assert_close(before, after, **CLOSE)


@pytest.mark.parametrize("route", ["vmap", "layer"])
def test_under_autocast_the_numbers_are_about_the_same(route):
    policy = copy.deepcopy(model("llama tied")).float()
    parameters, weights = select_parameters(policy), splits().float()
    exact = pair_grams(policy, pack(TOKENS), weights, parameters, route="backward")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = pair_grams(policy, pack(TOKENS), weights, parameters, route=route)
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() < 0.1 * exact.norm()


def test_a_tied_parameter_is_selected_once_under_either_name():
    tied, untied = model("llama tied"), model("llama untied")
    assert list(select_parameters(tied, "lm_head")) == ["model.embed_tokens.weight"]
    assert list(select_parameters(tied, "head")) == ["model.embed_tokens.weight"]
    assert list(select_parameters(untied, "head")) == ["lm_head.weight"]
    assert len(select_parameters(untied)) == len(select_parameters(tied)) + 1


class Callable(torch.nn.Module):
    """A model without configuration that returns plain logits, with a LayerNorm and a bias."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(19, 6, padding_idx=7)
        self.norm = torch.nn.LayerNorm(6)
        self.head = torch.nn.Linear(6, 19)
        self.shift = torch.nn.Parameter(torch.zeros(19))

    def forward(self, input_ids):
        return self.head(self.norm(self.embedding(input_ids).cumsum(1)))


def test_any_module_that_returns_logits():
    policy, weights = Callable().double(), splits()
    parameters = select_parameters(policy, "embedding|norm|head")
    results = [flat(r(policy, pack(TOKENS), weights, parameters)) for r in ROUTES.values()]
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[2], results[1])
    with pytest.raises(ValueError, match="Callable states no output head"):
        select_parameters(policy, "head")


def test_errors():
    policy = model("llama tied")
    trajectories, weights, parameters = pack(TOKENS), splits(), select_parameters(policy)
    with pytest.raises(ValueError, match=r"weights must be floats \(6, P, 7\)"):
        pair_grams(policy, trajectories, weights[:, 0], parameters)
    with pytest.raises(ValueError, match="two rows, got 5"):
        pair_grams(policy, pack(TOKENS[:5]), weights[:5], parameters)
    with pytest.raises(ValueError, match="route must be one of layer, vmap, backward"):
        pair_grams(policy, trajectories, weights, parameters, route="magic")
    with pytest.raises(ValueError, match="do not fit"):
        split_weights(trajectories, overlaps()[::-1])
    with pytest.raises(ValueError, match="no name matches; the first of"):
        select_parameters(policy, "nothing")
    with pytest.raises(ValueError, match="not a regular expression"):
        select_parameters(policy, "(")
    with pytest.raises(ValueError, match="trajectory 1 has a completion without tokens"):
        pack([([1], [2]), ([1], [])])
    with pytest.raises(ValueError, match="trajectory 0 has a prompt without tokens"):
        pack([([], [2])])
    with pytest.raises(ValueError, match="no trajectories"):
        pack([])
    owner, stranger = Callable(), Callable()
    arguments = (owner, trajectories, weights.float())
    with pytest.raises(ValueError, match="shift is not used by the module that owns it"):
        flat(by_layer(*arguments, {"shift": stranger.shift}))
    with pytest.raises(ValueError, match="Callable does not work row by row: use by_vmap"):
        flat(by_layer(*arguments, {"shift": owner.shift}))


def test_a_model_that_does_not_work_row_by_row_takes_the_other_route():
    owner, trajectories, weights = Callable(), pack(TOKENS), splits().float()
    arguments = (owner, trajectories, weights, dict(owner.named_parameters()))
    grams = pair_grams(*arguments)
    assert grams.any()
    torch.testing.assert_close(grams, pair_grams(*arguments, route="backward"))
