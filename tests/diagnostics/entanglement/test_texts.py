"""`diagnostics.entangle` against plain autograd and plain forwards."""

import pytest
import torch

from diagnostics import entangle
from tests.helpers.tiny import model, twin_gradient, twin_log_probs
from train.models.load import load_model

PROMPTS = ["2+3*1+3+6=", "1+2*3="]
CHOSEN = ["3*1=3;2+3=5;5+3=8;8+6=14;#14", "2*3=6;1+6=7;#7"]
REJECTED = ["2+3=5;5*1=5;5+3=8;8+6=14;#14", "1+2=3;3*3=9;#9"]


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("builtin")[1]


def ids(tokenizer, text):
    return [tokenizer.convert_tokens_to_ids(character) for character in text]


def test_pairs_of_texts(tokenizer):
    policy = model("builtin")
    reference = load_model("builtin", dtype=torch.float64)[0]
    with torch.no_grad():
        reference.lm_head.weight.add_(0.05 * torch.randn(
            reference.lm_head.weight.shape, generator=torch.Generator().manual_seed(0),
            dtype=torch.float64,
        ))  # fmt: skip
    of = entangle(policy, tokenizer, PROMPTS, CHOSEN, REJECTED, reference)
    assert len(of.table) == 2
    for number, texts in enumerate(zip(PROMPTS, CHOSEN, REJECTED, strict=True)):
        prompt, *sides = (ids(tokenizer, text) for text in texts)
        sides = [[*side, tokenizer.eos_token_id] for side in sides]
        line = of.table.iloc[number]
        g_w, g_l = (twin_gradient(policy, prompt, side, torch.ones(len(side))) for side in sides)
        inner = (g_w @ g_l).item()
        assert line["inner_product"] == pytest.approx(inner, rel=1e-3)
        assert line["cosine"] == pytest.approx(inner / (g_w.norm() * g_l.norm()).item(), abs=1e-4)
        for name, side in zip(("chosen", "rejected"), sides, strict=True):
            now, then = (twin_log_probs(m, prompt, side).sum().item() for m in (policy, reference))
            assert line[f"n_{name}"] == len(side)
            assert line[f"change_{name}"] == pytest.approx(now - then, abs=1e-3)
    assert of.shown == of.table["cosine"].idxmax()
    prompt, side, other = (ids(tokenizer, of_[of.shown]) for of_ in (PROMPTS, CHOSEN, REJECTED))
    gradients = [
        twin_gradient(policy, prompt, [*own, tokenizer.eos_token_id],
                      torch.eye(len(own) + 1)[2])
        for own in (side, other)
    ]  # fmt: skip
    cosine = torch.cosine_similarity(*gradients, dim=0).item()
    assert of.tokens.iloc[2, 2] == pytest.approx(cosine, abs=1e-4)
    assert list(of.tokens.index) == [*CHOSEN[of.shown], "⟨end⟩"]
    assert list(of.tokens.columns) == [*REJECTED[of.shown], "⟨end⟩"]


def test_one_pair_is_as_one_of_many(tokenizer):
    policy = model("builtin")
    one = entangle(policy, tokenizer, PROMPTS[0], CHOSEN[0], REJECTED[0], parameters="lm_head")
    many = entangle(policy, tokenizer, PROMPTS, CHOSEN, REJECTED, parameters="lm_head")
    assert one.table["cosine"][0] == pytest.approx(many.table["cosine"][0], rel=1e-4)
    assert "change_chosen" not in one.table


def test_what_is_no_pair_of_texts_is_said(tokenizer):
    policy = model("builtin")
    with pytest.raises(ValueError, match="as many, and one or more: got 2, 2, 1"):
        entangle(policy, tokenizer, PROMPTS, CHOSEN, REJECTED[0])
    with pytest.raises(ValueError, match="got 0, 0, 0"):
        entangle(policy, tokenizer, [], [], [])
    with pytest.raises(TypeError, match="prompt must be a text or texts, got dict"):
        entangle(policy, tokenizer, [{"role": "user"}], CHOSEN[0], REJECTED[0])
    with pytest.raises(ValueError, match="prompt without tokens"):
        entangle(policy, tokenizer, "", CHOSEN[0], REJECTED[0])
    with pytest.raises(ValueError, match="parameters 'none': no name matches"):
        entangle(policy, tokenizer, *(x[0] for x in (PROMPTS, CHOSEN, REJECTED)), parameters="none")
