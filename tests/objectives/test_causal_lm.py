"""Log-probs in a loop of one's own, against the softmax of the model's own logits."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.parallel import DistributedDataParallel

from objectives import fpa, fpa_dpo
from objectives.causal_lm import log_probs, output_head
from tests.helpers.architectures import tiny

SIZE, ROWS, LENGTH = 40, 4, 9
KINDS = ["llama", "gemma2", "cohere", "granite", "gpt2", "phi"]


@pytest.fixture
def ids():
    return torch.randint(SIZE, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask():
    mask = torch.zeros(ROWS, LENGTH, dtype=torch.long)
    for row, (start, end) in enumerate([(3, 9), (5, 8), (1, 4), (9, 9)]):
        mask[row, start:end] = 1
    return mask


def moved(model, by=0.3):
    """Return a copy with other weights, as after training."""
    other, generator = copy.deepcopy(model), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + by * torch.rand(parameter.shape, generator=generator))
    return other


def dense(model, ids, mask, other=None, lam=0.0, **given):
    """Return log-probs of softmax(h + λ (h - h_other)), 0 where nothing is learnt."""
    logits = model(ids, **given).logits.double()
    if other is not None:
        logits = logits + lam * (logits - other(ids, **given).logits.double())
    log_probs = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return torch.where(mask[:, 1:].bool(), log_probs, 0.0)


def close(ours, theirs, tolerance=2e-5):
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_the_model_s_own(kind, ids, mask):
    reference = tiny(kind, SIZE)
    policy = moved(reference)
    own, batch = log_probs(policy, ids, mask, reference=reference, lam=1.5)
    close(own, dense(policy, ids, mask))
    close(batch.reference, dense(reference, ids, mask))
    close(batch.future, dense(policy, ids, mask, reference, 1.5), 1e-4)
    assert torch.equal(batch.mask, mask[:, 1:].bool())
    assert own.dtype == torch.float32
    alone, without = log_probs(policy, ids, mask)
    assert torch.equal(alone, own)
    assert without.reference is None is without.future


def test_collisions_are_those_of_the_whole_distributions(ids, mask):
    reference = tiny("llama", SIZE)
    policy = moved(reference)
    _, batch = log_probs(policy, ids, mask, reference=reference, lam=1.5, collision=True)
    here, before = (model(ids).logits.double()[:, :-1] for model in (policy, reference))
    learnt = mask[:, 1:].bool()
    for ours, logits in (
        (batch.collision, here),
        (batch.future_collision, here + 1.5 * (here - before)),
    ):
        met = logits.softmax(-1).square().sum(-1).log()
        close(ours, torch.where(learnt, met, 0.0), 1e-4)


def test_gradients_are_those_of_the_dense_loss(ids, mask):
    reference = tiny("llama", SIZE)
    policy, twin = moved(reference), moved(reference)
    reward = torch.tensor([1.0, -1.0, -1.0, 1.0])
    own, batch = log_probs(policy, ids, mask, reference=reference, lam=1.0)
    fpa(own, batch._replace(reward=reward)).mean().backward()
    log_prob, count = dense(twin, ids, mask), mask[:, 1:].sum(-1)
    future = dense(twin, ids, mask, reference, 1.0).sum(-1) / count.clamp(min=1)
    weights = torch.where(count > 0, reward * future.exp(), 0.0).detach()
    (-weights * log_prob.sum(-1) / count.clamp(min=1)).mean().backward()
    assert all(p.grad is None for p in reference.parameters())
    for ours, theirs in zip(policy.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


def test_an_adapter_is_the_policy_and_what_is_below_it_the_reference(ids, mask):
    base = tiny("llama", SIZE)
    model = get_peft_model(copy.deepcopy(base), LoraConfig(r=2, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.3)
    own, batch = log_probs(model, ids, mask, adapter_is_policy=True, lam=2.0)
    close(own, dense(model, ids, mask))
    close(batch.reference, dense(base, ids, mask))
    close(batch.future, dense(model, ids, mask, base, 2.0), 1e-4)
    pairs = torch.tensor([[0, 1], [0, 2]])
    fpa_dpo(own, batch._replace(pairs=pairs)).mean().backward()
    learnt = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learnt
    assert all("lora_" in name for name in learnt)


def test_padding_on_the_left_wants_the_attention_mask(ids, mask):
    model = moved(tiny("llama", SIZE))
    pad, width = 3, LENGTH + 3
    left = torch.cat([torch.zeros(ROWS, pad, dtype=torch.long), ids], 1)
    seen = torch.cat([torch.zeros(ROWS, pad, dtype=torch.long), torch.ones_like(ids)], 1)
    moved_mask = torch.cat([torch.zeros(ROWS, pad, dtype=torch.long), mask], 1)
    own, _ = log_probs(model, left, moved_mask, attention_mask=seen)
    assert own.shape == (ROWS, width - 1)
    close(own[:, pad:], dense(model, ids, mask))


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_it_is_called_through_what_is_wrapped_around_it(ids, mask, one_process):
    model = DistributedDataParallel(moved(tiny("llama", SIZE)))
    calls = []
    model.register_comm_hook(None, lambda state, bucket: calls.append(1) or allreduce(bucket))
    own, _ = log_probs(model, ids, mask)
    close(own, dense(model.module, ids, mask))
    own.sum().backward()
    assert calls  # gradients were shared
    assert all(p.grad is not None for p in model.parameters())


def allreduce(bucket):
    done = torch.distributed.all_reduce(bucket.buffer(), async_op=True).get_future()
    return done.then(lambda future: future.value()[0])


def test_a_model_with_logits_of_its_own_kind_is_refused(ids, mask):
    model = tiny("llama", SIZE)
    model.lm_head.register_forward_hook(lambda module, given, output: 2 * output)
    with pytest.raises(ValueError, match="makes its logits in a way"):
        log_probs(model, ids, mask)
    with pytest.raises(ValueError, match="Linear has no get_output_embeddings"):
        log_probs(torch.nn.Linear(2, 2), ids, mask)
    model.get_output_embeddings = lambda: None
    with pytest.raises(ValueError, match="no linear output head"):
        output_head(model)


def test_what_does_not_fit_is_refused(ids, mask):
    model = tiny("llama", SIZE)
    with pytest.raises(ValueError, match=r"of one shape, got \[\(4, 8\), \(4, 9\)\]"):
        log_probs(model, ids, mask[:, 1:])
    with pytest.raises(ValueError, match="either a reference or adapter_is_policy"):
        log_probs(model, ids, mask, reference=model, adapter_is_policy=True)
    with pytest.raises(ValueError, match="has no disable_adapter"):
        log_probs(model, ids, mask, adapter_is_policy=True)
    with pytest.raises(ValueError, match="extrapolates from a reference: give one"):
        log_probs(model, ids, mask, lam=1.0)
