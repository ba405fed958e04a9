"""The future policy as a teacher in the harness: gradients flow through the divergence from it."""

import copy
from types import SimpleNamespace

import pytest
import torch

from objectives import OBJECTIVES, Batch
from objectives.causal_lm import backbone_of
from objectives.errors import InputError
from tests.helpers.started_runs import first_micro_batch, started
from tests.helpers.tiny import SIZES, TOKENS, model
from train.config.settings import Config
from train.config.spec import objective_spec
from train.data.input_rows import collate
from train.data.micro_batches import MicroBatch
from train.data.tokens import Tokens
from train.learning.gradients import Gradients
from train.learning.policies import Policies
from train.models.language_model import LanguageModel

QUICK = Config(steps=2, batch_size=8, learning_rate=3e-4, warmup_steps=0, eval_problems="none")
LAM, COEFFICIENT, COUNT = 0.7, 1.3, len(TOKENS)
REWARD = torch.tensor([1.0, -1.0] * (COUNT // 2), dtype=torch.float64)
PARTS = {"whole": [COUNT], "micro-batches": [2, 4], "a row each": [1] * COUNT}


def opened(made):
    return LanguageModel(made, backbone_of(made))


def models():
    """Return a reference and a policy away from it, in float64."""
    reference = model("llama tied")
    policy = copy.deepcopy(reference)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.05 * noise).requires_grad_(True)
    return reference, policy


def micros(parts, width=None):
    for rows in torch.arange(COUNT).split(parts):
        inputs = collate([Tokens(*TOKENS[row]) for row in rows], width=width)
        yield MicroBatch(inputs, Batch(mask=inputs.mask, reward=REWARD[rows]), rows)


def of_harness(name, kind, parts, width=None, origin=None):
    """Return the loss and its gradients, as a step of a run adds them up."""
    reference, policy = models()
    lagged = None if origin is None else SimpleNamespace(origin=opened(origin))
    policies = Policies(
        OBJECTIVES[name].needs, opened(policy), opened(reference),
        SimpleNamespace(anchor=opened(reference), previous=None), lagged, divergence_kind=kind,
    )  # fmt: skip
    spec = objective_spec(name, {"coefficient": COEFFICIENT, "lam": LAM, "divergence_kind": kind})
    totals = Gradients(spec, policies, None).add(micros(parts, width), COUNT, LAM)
    return totals, [p.grad for p in policy.parameters()]


def distributions(made, number):
    """Return a trajectory's log-probs over the vocabulary, (n, V), from the model's own logits."""
    prompt, completion = TOKENS[number]
    logits = made(input_ids=torch.tensor([[*prompt, *completion]]), use_cache=False).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(-1)


def divergence(log_p, log_q, kind):
    p, q = (torch.distributions.Categorical(logits=x) for x in (log_p, log_q))
    if kind == "kl":
        return torch.distributions.kl_divergence(p, q)
    middle = torch.distributions.Categorical(probs=(p.probs + q.probs) / 2)
    return sum(torch.distributions.kl_divergence(x, middle) for x in (p, q)) / 2


def dense(name, kind, origin=None):
    """Return the same by autograd through every logit, a trajectory at a time."""
    reference, policy = models()
    total = apart = 0
    for number, reward in enumerate(REWARD):
        own, before = distributions(policy, number), distributions(reference, number).detach()
        from_ = before if origin is None else distributions(origin, number).detach()
        future = ((1 + LAM) * own - LAM * from_).log_softmax(-1).detach()
        places = torch.arange(len(own)), torch.tensor(TOKENS[number][1])
        d = divergence(own, future, kind)
        apart = apart + d.sum()
        if name == "rise":
            total = total - reward * own[places].mean().exp() + COEFFICIENT * d.mean()
        elif name == "fpa_rise":
            weight = future[places].mean().exp()
            total = total - reward * weight * own[places].mean() + COEFFICIENT * d.mean()
        else:
            ratio = (own - before)[places].exp()
            kept = torch.minimum(ratio * reward, ratio.clamp(0.8, 1.2) * reward)
            total = total + (COEFFICIENT * d - kept).mean()
    (total / COUNT).backward()
    return total / COUNT, apart, [p.grad for p in policy.parameters()]


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("kind", ["kl", "js"])
@pytest.mark.parametrize("name", ["rise", "rise_grpo", "fpa_rise"])
def test_losses_and_gradients_are_those_of_the_dense_computation(name, kind, parts):
    totals, found = of_harness(name, kind, parts)
    loss, apart, expected = dense(name, kind)
    exact = {"rtol": 1e-11, "atol": 1e-12}
    if name != "fpa_rise":  # whose value is that at the policy
        torch.testing.assert_close(totals["loss"], loss, **exact)
    torch.testing.assert_close(totals["future_divergence"], apart, **exact)
    torch.testing.assert_close(found, expected, **exact)


@pytest.mark.parametrize("name", ["rise", "rise_grpo", "fpa_rise"])
def test_also_where_rows_share_their_beginnings_and_from_an_earlier_policy(name):
    origin = copy.deepcopy(model("llama tied"))
    with torch.no_grad():
        for parameter in origin.parameters():
            parameter.mul_(1.1)
    _, found = of_harness(name, "kl", [COUNT], SIZES["hidden_size"], origin)
    torch.testing.assert_close(found, dense(name, "kl", origin)[2], rtol=1e-11, atol=1e-12)
    shared = next(micros([COUNT], SIZES["hidden_size"])).rows
    assert len(shared.input_ids) < COUNT


def test_with_kl_it_is_the_opposite_of_staying_by_the_reference():
    """As rise says: with π̂ a constant the gradient is -λ times that of KL(π_θ || π_ref)."""
    reference, policy = models()
    own, before = distributions(policy, 0), distributions(reference, 0).detach()
    future = ((1 + LAM) * own - LAM * before).log_softmax(-1).detach()
    leaves = [p for p in policy.parameters() if p.requires_grad]
    to_future, to_reference = (
        torch.autograd.grad(divergence(own, q, "kl").sum(), leaves, retain_graph=True)
        for q in (future, before)
    )
    assert any((x != 0).any() for x in to_reference)
    torch.testing.assert_close(to_future, tuple(-LAM * x for x in to_reference))


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


@pytest.mark.parametrize(("name", "base"), [("rise", "offline_rl"), ("rise_grpo", "grpo")])
def test_a_coefficient_of_0_is_the_base_to_the_bit(setup, name, base, tmp_path):
    runs = [
        started(setup, base, tmp_path / "base"),
        started(setup, name, tmp_path / "own", coefficient=0.0),
    ]
    for run in runs:
        run.step(1)
        run.step(2)
    own, other = ({**r.history[-1]} for r in reversed(runs))
    assert own.pop("future_divergence") > 1e-6
    assert own.pop("lam") == 0.3
    cost = ("flops", "num_tokens")
    assert {k: v for k, v in own.items() if k not in cost} == {
        k: v for k, v in other.items() if k not in cost
    }
    weights = [list(run.policies.policy.model.parameters()) for run in runs]
    assert all(torch.equal(one, two) for one, two in zip(*weights, strict=True))


def test_a_run_reads_what_its_flags_say(setup, tmp_path):
    given = {"divergence_kind": "js", "lam": 0.5, "future_from": "lagged:1"}
    run = started(setup, "rise", tmp_path / "run", **given)
    for step in (1, 2, 3):
        run.step(step)
    micro = first_micro_batch(run)
    with torch.no_grad():
        _, batch, _ = run.policies.evaluate(micro, run.updater.lam)
        own, before = (
            m.head.logits(m.hidden(micro.rows)).double().log_softmax(-1)
            for m in (run.policies.policy, run.policies.lagged.origin)
        )
        expected = divergence(own, (1.5 * own - 0.5 * before).log_softmax(-1), "js")
    assert expected.max() > 1e-5
    found = batch.future_divergence[batch.mask].double()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=3e-7)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("rise", {"future_from": "ratio"}, "--future-from ratio: known by its tokens alone"),
        ("fpa_rise", {"future_from": "oracle:2"}, "and fpa_rise reads a divergence"),
        ("guarded_rise", {"future_from": "shuffled"}, "initial or lagged:N"),
        ("rise", {"lam": "window"}, "--lam window: chosen for weights at the future policy"),
        ("rise", {"divergence_kind": "l2"}, "--divergence-kind 'l2': expected one of kl, js"),
        ("rise", {"coefficient": -1.0}, "--coefficient -1.0: must be 0 or more"),
        ("fpa", {"divergence_kind": "kl"}, "--divergence-kind is not a flag of fpa"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name, given, message):
    with pytest.raises(InputError, match=message) as refusal:
        objective_spec(name, given)
    assert "\n" not in str(refusal.value)
