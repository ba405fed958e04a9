"""LoRA: an adapter on the frozen base against dense twins."""

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from diagnostics.entanglement.gram import ROUTES, pair_grams
from diagnostics.parameters import select_parameters, trained_parameters
from diagnostics.trajectories import pack
from objectives import token_log_probs
from tests.helpers.started_runs import (
    first_micro_batch,
    new_policy,
    session,
    started,
    trained,
    with_config,
)
from train.__main__ import main
from train.config.settings import Config
from train.data.input_rows import collate
from train.models import language_model
from train.models.copies import frozen_copy
from train.models.language_model import compile_layers, recompute_layers
from train.models.lora import load_adapter
from train.run.cost import matrix_parameters
from train.run.setup import set_up
from train.store.folder import read_metrics

pytestmark = pytest.mark.cpu

CONFIG = Config(
    steps=4, batch_size=8, eval_limit=4, eval_samples=1, eval_every=0, learning_rate=1e-2,
    warmup_steps=0, lora_rank=3, lora_alpha=5,
)  # fmt: skip
SCALE = 5 / 3


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(CONFIG)


def trained_adapter(setup, **changes):
    """Return a policy whose adapter is not 0."""
    policy = new_policy(setup, **changes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trained_parameters(policy.model).values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy


def dense(model, adapter, base):
    """Return the base's parameters by name, with W + s B A for each layer that has an adapter."""
    weights = {name: value.detach() for name, value in base.named_parameters()}
    for name in [n for n in adapter if ".lora_A." in n]:
        own = name.split(".lora_A.")[0] + ".weight"
        product = adapter[name.replace("lora_A", "lora_B")] @ adapter[name]
        weights[own] = weights[own] + SCALE * product
    return weights


def logits(model, parameters=None):
    ids = torch.arange(1, 12)[None]
    if parameters is None:
        return model(input_ids=ids, use_cache=False).logits
    return functional_call(model, parameters, (), {"input_ids": ids, "use_cache": False}).logits


def rows_of(setup, count=6):
    return collate(setup.data.tokens[:count])


@pytest.mark.parametrize("name", ["fpa", "dpo", "kto", "omd", "fpa_rpo"])
def test_it_starts_exactly_at_the_reference(setup, name, tmp_path):
    run = started(setup, name, tmp_path / "run")
    micro = first_micro_batch(run)
    policy, batch, _ = run.policies.evaluate(micro, run.updater.lam)
    for field in ("reference", "future", "anchor"):
        other = getattr(batch, field)
        assert other is None or torch.equal(other, policy)
    run._begin()  # with its self-check
    run.step(1)
    assert run.history[0]["grad_norm"] > 0
    policy, batch, _ = run.policies.evaluate(micro, run.updater.lam)
    if batch.reference is not None:
        assert (batch.reference - policy).abs().max() > 1e-3


@pytest.mark.parametrize("how", ["plain", "checkpointing", "compiled"])
def test_gradients_are_those_of_a_dense_twin(setup, how, monkeypatch):
    policy, rows = trained_adapter(setup), rows_of(setup)
    if how == "checkpointing":
        recompute_layers(policy)
    if how == "compiled":
        monkeypatch.setattr(language_model, "COMPILER", "eager")
        compile_layers(policy)
    weight = torch.randn(len(rows.targets), generator=torch.Generator().manual_seed(2))
    own = trained_parameters(policy.model)
    ours = token_log_probs(policy.hidden(rows), policy.head, rows.targets).policy
    (weight * ours).sum().backward()
    adapter = {name: value.detach().requires_grad_() for name, value in own.items()}
    inputs = {"input_ids": rows.input_ids, "attention_mask": rows.attention_mask}
    base = setup.base.model.model
    every = functional_call(base, dense(policy.model, adapter, base), (), inputs).logits
    theirs = every[rows.row, rows.position].log_softmax(-1)
    theirs = theirs.gather(-1, rows.targets[:, None]).squeeze(-1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    expected = torch.autograd.grad((weight * theirs).sum(), list(adapter.values()))
    assert len(expected) == 2 * 7 * base.config.num_hidden_layers
    for (name, parameter), gradient in zip(own.items(), expected, strict=True):
        scale = gradient.abs().max()
        assert (parameter.grad - gradient).abs().max() < 1e-4 * scale, name
    others = [p for p in policy.model.parameters() if all(p is not mine for mine in own.values())]
    assert all(p.grad is None for p in others)


def test_the_kernel_makes_no_gradient_of_the_frozen_head(setup):
    policy, rows = trained_adapter(setup), rows_of(setup)
    out = token_log_probs(policy.hidden(rows), policy.head, rows.targets).policy
    hidden, weight = out.grad_fn.next_functions[:2]
    assert hidden[0] is not None
    assert weight[0] is None


def test_there_is_one_base_in_memory(setup):
    policy = trained_adapter(setup)
    base = set(map(id, setup.base.model.model.parameters()))
    for model in (policy, frozen_copy(policy)):
        own = trained_parameters(model.model)
        assert own
        assert all(p.dtype == torch.float32 and id(p) not in base for p in own.values())
        rest = [p for name, p in model.model.named_parameters() if name not in own]
        assert set(map(id, rest)) == base
    assert not any(p.requires_grad for p in setup.base.model.model.parameters())


def test_runs_leave_the_base_alone_and_begin_afresh(setup, tmp_path):
    before = {name: value.clone() for name, value in setup.base.model.model.state_dict().items()}
    ends = []
    for number in range(2):
        session(setup, "dpo", tmp_path / str(number), last=number == 1).train({})
        ends.append((tmp_path / str(number) / "metrics.jsonl").read_bytes())
    assert ends[0] == ends[1]
    after = setup.base.model.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    one, other = (new_policy(setup, seed=seed).model for seed in (0, 1))
    values = zip(*(trained_parameters(m).items() for m in (one, other)), strict=True)
    for (name, mine), (_, theirs) in values:
        assert torch.equal(mine, theirs) == (".lora_B." in name)


@pytest.mark.parametrize(
    ("name", "given"),
    [("omd", {"period": 2}), ("fpa_dpo", {"future_from": "lagged:2"})],
)
def test_anchors_are_what_snapshots_of_all_weights_would_be(setup, name, given, tmp_path):
    run = started(setup, name, tmp_path / "run", **given)
    base, policy = setup.base.model.model, run.policies.policy.model

    def whole():
        return dense(policy, dict(trained_parameters(policy)), base)

    snapshots = [{n: v.detach().clone() for n, v in whole().items()}]
    for step in range(1, 6):
        run.step(step)
        snapshots.append({n: v.detach().clone() for n, v in whole().items()})
        if name == "omd":
            models = {run.policies.anchors.anchor: step - step % 2,
                      run.policies.anchors.previous: max(0, step - step % 2 - 2)}  # fmt: skip
        else:
            models = {run.policies.lagged.origin: max(0, step - 2)}
        for model, when in models.items():
            with torch.no_grad():
                ours, theirs = logits(model.model), logits(base, snapshots[when])
                now = logits(policy)
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
            assert (ours - now).abs().max() > 1e-3 or when == step


def test_what_a_lag_takes_is_told_of_the_adapter(setup, tmp_path):
    run = session(setup, "fpa", tmp_path / "run", future_from="lagged:9")
    size = sum(p.nbytes for p in trained_parameters(trained_adapter(setup).model).values())
    assert f"10 copies of what is trained in memory: {10 * size / 1e6:.1f} MB" in run.describe()
    assert f"a LoRA adapter of {size / 4e6:.2f} million" in setup.describe()


def test_the_reference_on_disk_is_the_base_s(setup, tmp_path):
    ends = []
    for choice in ("off", str(tmp_path / "states")):
        folder = tmp_path / f"run-{len(ends)}"
        session(with_config(setup, reference_cache=choice), "fpa", folder, last=True).train({})
        ends.append([line["loss"] for line in read_metrics(folder) if "loss" in line])
    assert ends[0] == pytest.approx(ends[1], rel=1e-5, abs=1e-7)
    plain = set_up(replace(CONFIG, lora_rank=None, lora_alpha=None))
    plain = with_config(plain, reference_cache=str(tmp_path / "states"))
    session(plain, "fpa", tmp_path / "plain").train({})
    assert len(list((tmp_path / "states").glob("*.states"))) == 1


def test_the_base_may_be_kept_in_bfloat16(tmp_path):
    setup = set_up(replace(CONFIG, dtype="bfloat16"))
    assert {p.dtype for p in setup.base.model.model.parameters()} == {torch.bfloat16}
    run, result = trained(
        session(setup, "omd", tmp_path / "run", period=2)
    )  # its self-check holds the policy to the reference
    policy = run.policies.policy.model
    assert {p.dtype for p in trained_parameters(policy).values()} == {torch.float32}
    assert result.history[-1]["grad_norm"] > 0
    again = load_adapter(setup.base.model.model, tmp_path / "run" / "checkpoints" / "step-4")
    mine, theirs = (trained_parameters(m).values() for m in (policy, again))
    assert all(torch.equal(*both) for both in zip(mine, theirs, strict=True))


def test_targets_may_be_named(setup):
    policy = new_policy(setup, lora_targets="q_proj, self_attn.v_proj")
    layers = {name.split(".lora_")[0] for name in trained_parameters(policy.model)}
    assert {name.rsplit(".", 1)[1] for name in layers} == {"q_proj", "v_proj"}


@pytest.mark.parametrize("route", ROUTES)
def test_gradient_diagnostics_are_of_the_adapter(setup, route):
    policy = trained_adapter(setup)
    rows = pack([([4, 5, 6], [7, 8, 9]), ([4, 5, 6], [7, 10])])
    weights = torch.ones(2, 1, rows.mask.shape[1])
    parameters = select_parameters(policy.model)
    assert parameters.keys() == trained_parameters(policy.model).keys()
    gram = pair_grams(policy.model, rows, weights, parameters, route=route)[0]
    gradients = []
    for row in range(2):
        one = rows.rows(slice(row, row + 1))
        every = policy.model(input_ids=one.input_ids).logits[0, one.position[0]].log_softmax(-1)
        total = every.gather(-1, one.targets[0][:, None]).sum()
        own = torch.autograd.grad(total, list(parameters.values()))
        gradients.append(torch.cat([g.flatten() for g in own]))
    vectors = torch.stack(gradients)
    torch.testing.assert_close(gram, vectors @ vectors.T, rtol=1e-3, atol=1e-4)


def test_frozen_weights_cost_no_gradient_of_their_own(setup, tmp_path):
    run = started(setup, "sft", tmp_path / "run")
    run.step(1)
    base = matrix_parameters(setup.base.model.model)
    own = sum(p.numel() for p in trained_parameters(run.policies.policy.model).values())
    tokens = run.updater.cost.tokens_trained
    assert run.updater.cost.flops == tokens * (4 * base + 6 * own) + 2 * (base + own) * (
        run.updater.cost.tokens_frozen + run.updater.cost.tokens_generated
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lora-rank 0", "--lora-rank 0: must be above 0"),
        ("--lora-rank 4 --lora-alpha -1", "--lora-alpha -1.0: must be above 0"),
        ("--lora-alpha 8", "--lora-alpha is for --lora-rank, which is not given"),
        ("--lora-targets q_proj", "--lora-targets is for --lora-rank, which is not given"),
        ("--lora-rank 4 --lora-targets wq", "'wq' is no linear layer of LlamaForCausalLM"),
        ("--lora-rank 4 --lora-targets lm_head", "it has q_proj, k_proj, v_proj, o_proj"),
        ("--lora-rank 4 --lora-targets embed_tokens", "'embed_tokens' is no linear layer"),
        ("--lora-rank 4 --lora-targets q_proj,", "'' is no linear layer"),
    ],
)
def test_bad_flags_are_refused(call, write_rows, words, message):
    data = write_rows([{"prompt": "1+1=", "completion": "2#2", "reward": 1}])
    status, _, err = call(main, f"--objective sft --steps 1 --data {data} {words}")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
