"""Token × token matrices, the head's closed form and CHES, against plain twins."""

import pytest
import torch

from diagnostics.entanglement.ches import ches
from diagnostics.entanglement.gram import pair_grams
from diagnostics.entanglement.head import head_gram, head_pair_grams
from diagnostics.entanglement.token_matrix import cosines, token_gram
from diagnostics.parameters import select_parameters
from diagnostics.trajectories import pack
from objectives import Head
from tests.diagnostics.entanglement.test_gradients import CLOSE, splits
from tests.helpers.tiny import NAMES, TOKENS, model, twin_gradient
from train.data.input_rows import collate, spread
from train.data.tokenized import Tokens
from train.models.language_model import open_model


def one_hot(position, length):
    return torch.nn.functional.one_hot(torch.tensor(position), length).double()


@pytest.mark.parametrize("which", ["all", "head"])
@pytest.mark.parametrize("name", NAMES)
def test_token_matrix(name, which):
    policy, pair = model(name), TOKENS[:2]
    parameters = select_parameters(policy, which)
    ours = token_gram(policy, pack(pair), parameters, tokens_at_once=4)
    gradients = torch.stack([
        twin_gradient(policy, prompt, completion, one_hot(t, len(completion)), parameters)
        for prompt, completion in pair
        for t in range(len(completion))
    ])  # fmt: skip
    torch.testing.assert_close(ours, gradients @ gradients.T, **CLOSE)
    norms = gradients.norm(dim=1)
    twin = gradients @ gradients.T / norms / norms[:, None]
    torch.testing.assert_close(cosines(ours), twin, **CLOSE)


def test_the_matrix_adds_up_to_the_pair_s_inner_products():
    policy, trajectories = model("qwen2 tied"), pack(TOKENS[:2])
    parameters, weights = select_parameters(policy), splits()[:2, :, :5]
    matrix = token_gram(policy, trajectories, parameters)
    sides = torch.block_diag(*[w[:, m] for w, m in zip(weights, trajectories.mask, strict=True)])
    whole = pair_grams(policy, trajectories, weights, parameters)[0]
    torch.testing.assert_close(sides @ matrix @ sides.T, whole, **CLOSE)


def test_gradients_of_a_common_prefix_are_equal():
    matrix = cosines(
        token_gram(model("builtin"), pack(TOKENS[:2]), select_parameters(model("builtin")))
    )
    torch.testing.assert_close(matrix[0, 5], torch.ones((), dtype=torch.float64), **CLOSE)
    torch.testing.assert_close(matrix[1, 6], torch.ones((), dtype=torch.float64), **CLOSE)


def test_cosine_of_nothing():
    assert cosines(torch.zeros(2, 2)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("at_once", [None, 1, 4])
def test_head_closed_form(softcap, scale, bias, at_once):
    torch.manual_seed(0)
    hidden = torch.randn(6, 5, dtype=torch.float64)
    weight = torch.randn(11, 5, dtype=torch.float64)
    head = Head(weight, torch.randn(11).double() if bias else None, scale, softcap)
    targets = torch.tensor([0, 3, 3, 10, 7, 4])

    def log_probs(weight):
        z = scale * (hidden @ weight.T + (head.bias if bias else 0))
        z = z if softcap is None else softcap * torch.tanh(z / softcap)
        return z.log_softmax(-1)[torch.arange(6), targets]

    jacobian = torch.func.jacrev(log_probs)(weight).flatten(1)
    ours = head_gram(hidden, head, targets, vocabulary_at_once=at_once)
    torch.testing.assert_close(ours, jacobian @ jacobian.T)


def opened(name):
    """Return final hidden states (B, T, d) at the completions' positions, and the head."""
    language_model, tokens = open_model(model(name)), [Tokens(*t) for t in TOKENS]
    rows = collate(tokens)
    with torch.no_grad():
        flat = language_model.hidden(rows)
    hidden = torch.stack([spread(column, rows) for column in flat.unbind(1)], -1)
    return hidden, language_model.head


@pytest.mark.parametrize("name", ["llama untied", "qwen2 untied"])
def test_head_of_an_untied_model_is_autograd_s(name):
    hidden, head = opened(name)
    trajectories = pack(TOKENS)
    ours = head_pair_grams(hidden, head, trajectories.targets, splits())
    parameters = select_parameters(model(name), "head")
    theirs = pair_grams(model(name), trajectories, splits(), parameters, route="backward")
    torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("name", ["llama tied", "qwen2 tied", "builtin"])
def test_head_of_a_tied_model_is_the_head_s_use_alone(name):
    hidden, head = opened(name)
    trajectories, weights = pack(TOKENS), splits()
    ours = head_pair_grams(hidden, head, trajectories.targets, weights)
    weight = head.weight.detach().requires_grad_()
    log_probs = (hidden @ weight.T).log_softmax(-1)
    log_probs = log_probs.gather(-1, trajectories.targets[..., None]).squeeze(-1)
    for pair in range(3):
        flat = [
            torch.autograd.grad((w * log_probs[row]).sum(), weight, retain_graph=True)[0].flatten()
            for row in (2 * pair, 2 * pair + 1)
            for w in weights[row]
        ]
        twin = torch.stack(flat) @ torch.stack(flat).T
        torch.testing.assert_close(ours[pair], twin)


def test_head_errors():
    head, hidden = Head(torch.zeros(4, 3)), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"hidden must be \(N, 3\)"):
        head_gram(torch.zeros(2, 5), head, torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"targets must be \(2,\) long"):
        head_gram(hidden, head, torch.zeros(2))
    with pytest.raises(ValueError, match="with B even"):
        head_pair_grams(hidden[None], head, torch.zeros(1, 2).long(), torch.zeros(1, 1, 2))


def test_ches():
    """Σφ_w = (1, 2), Σφ_l = (3, 0): 3 - 5 = -2; over n_w n_l = 2 and n_w² = 4: 3/2 - 5/4."""
    hidden = torch.tensor([[[1.0, 0], [0, 2]], [[3, 0], [99, 99]]])
    found = ches(hidden, torch.tensor([[True, True], [True, False]]))
    assert found.score.tolist() == [-2]
    assert found.normalised.tolist() == [0.25]


def test_ches_of_a_model_by_hand_without_padding():
    hidden, _ = opened("llama tied")
    found = ches(hidden, pack(TOKENS).mask)
    backbone = model("llama tied").model
    sums = []
    for prompt, completion in TOKENS:
        with torch.no_grad():
            states = backbone(torch.tensor([[*prompt, *completion]])).last_hidden_state[0]
        sums.append(states[len(prompt) - 1 : -1].sum(0))
    for pair in range(3):
        w, x = sums[2 * pair : 2 * pair + 2]
        torch.testing.assert_close(found.score[pair], w @ x - w @ w, **CLOSE)


def test_ches_errors():
    with pytest.raises(ValueError, match="no tokens"):
        ches(torch.zeros(2, 3, 4), torch.tensor([[True] * 3, [False] * 3]))
    with pytest.raises(ValueError, match="B even"):
        ches(torch.zeros(3, 3, 4), torch.ones(3, 3, dtype=torch.bool))
