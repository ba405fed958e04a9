"""Gradients as large as the vocabulary are added to those that are there, and are right."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from objectives import Head, token_log_probs
from train.models.in_place import adding_embedding_rows


def _model(**given):
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, **size, **heads, **given))


def _passes(model, in_place):
    """Add the gradients of two batches; return them, and how often a whole one was made."""
    made, weight, head = [], model.get_input_embeddings().weight, model.lm_head.weight
    handles = [p.register_hook(lambda g: made.append(g)) for p in {weight, head}]
    for seed in range(2):
        ids = torch.randint(40, (3, 7), generator=torch.Generator().manual_seed(seed))
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        given = Head(head, total=head.grad if in_place else None)
        token_log_probs(hidden.flatten(0, 1), given, ids[:, 1:].flatten()).policy.sum().backward()
    for handle in handles:
        handle.remove()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return gradients, sum(gradient is not None for gradient in made)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [None, 5])
def test_gradients_are_those_of_autograd_and_are_made_whole_once(tied, padding):
    model = _model(tie_word_embeddings=tied, pad_token_id=padding)
    assert model.get_input_embeddings().padding_idx == padding
    wanted, made = _passes(model, in_place=False)
    assert made == (2 if tied else 4)
    model.zero_grad(set_to_none=True)
    with adding_embedding_rows(model):
        found, made = _passes(model, in_place=True)
    assert made == (1 if tied else 2)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)


def test_a_hook_is_gone_afterwards_and_other_embeddings_are_left_alone():
    model = _model()
    table = model.get_input_embeddings()
    with adding_embedding_rows(model):
        assert len(table._forward_hooks) == 1
    assert not table._forward_hooks

    class Scaled(nn.Embedding):
        def forward(self, input):
            return 2 * super().forward(input)

    model.set_input_embeddings(Scaled(40, 16))
    with adding_embedding_rows(model):
        assert not model.get_input_embeddings()._forward_hooks


def test_a_frozen_embedding_gets_no_gradient():
    model = _model(tie_word_embeddings=False)
    model.get_input_embeddings().weight.requires_grad_(False)
    with adding_embedding_rows(model):
        hidden = model.model(input_ids=torch.tensor([[1, 2, 3]]), use_cache=False)[0]
    hidden.sum().backward()
    assert model.get_input_embeddings().weight.grad is None
    assert model.model.norm.weight.grad is not None


@pytest.mark.parametrize("form", [{}, {"scale": 0.5}, {"softcap": 3.0}, {"half": True}])
def test_the_weights_gradient_is_added_to_the_heads_total(form):
    torch.manual_seed(0)
    hidden, weight = torch.randn(9, 8), torch.randn(30, 8, requires_grad=True)
    targets, total = torch.randint(30, (9,)), torch.randn(30, 8)
    token_log_probs(hidden, Head(weight, **form), targets, chunk_size=4).policy.sum().backward()
    gradient, before = weight.grad, total.clone()
    weight.grad = None
    out = token_log_probs(hidden, Head(weight, **form, total=total), targets, chunk_size=4)
    assert torch.equal(total, before)
    out.policy.sum().backward()
    assert weight.grad is None
    torch.testing.assert_close(total, before + gradient, rtol=1e-5, atol=1e-5)
